//! Real Jobs beside sidecars, every other one ended by the reaper and so by the watch: none may hang.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use curfew_e2e::{Space, annotated, beside_helper, job};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Pod},
};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams},
};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    away::is_away,
    tally::{Place, Tally},
};

/// After which a Job hangs: its controller tries again after a minute at most.
const PATIENCE: Duration = Duration::from_secs(240);
/// One in so many of each kind is in the test mesh. The others have a sidecar that costs little: one Envoy a second is more than
/// two cores start beside everything else.
pub(crate) const MESHED: usize = 4;
/// Between two looks at them.
const LOOK: Duration = Duration::from_secs(1);

/// Those that have not ended, and whose all others were.
#[derive(Default)]
struct Book {
    made: usize,
    running: BTreeMap<String, (Place, Instant)>,
    places: BTreeMap<String, Place>,
}

/// Makes one every so often until it is over, so many at once at most, and waits for each.
pub(crate) async fn stream(space: &Space, every: Duration, at_once: usize, tally: &Tally) -> Result<()> {
    let mut book = Book::default();
    let (mut pace, mut look) = (interval(every), interval(LOOK));
    for interval in [&mut pace, &mut look] {
        // The next one comes when there is room again, and not many at once.
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    }
    while !tally.is_over() || !book.running.is_empty() {
        let step = tokio::select! {
            _ = pace.tick(), if !tally.is_over() && book.running.len() < at_once => book.make(space, tally).await,
            _ = look.tick() => book.look(space, tally).await,
        };
        step.or_else(|error| if is_away(&error) { Ok(()) } else { Err(error) })?;
    }
    book.refused(space, tally).await
}

// === impl Book ===

impl Book {
    async fn make(&mut self, space: &Space, tally: &Tally) -> Result<()> {
        let place = tally.now();
        let name = format!("work-{}", self.made);
        let work = job(&name, "sleep 1");
        let work =
            if self.made.is_multiple_of(2) { work } else { annotated(work, "curfew.dev/strategy", "reaper") };
        let work = if (self.made / 2).is_multiple_of(MESHED) {
            work
        } else {
            beside_helper(annotated(work, "linkerd.io/inject", "disabled"))
        };
        // A try that was not answered may have made it: the same name is made once.
        space.apply(work).await?;
        self.made += 1;
        self.running.insert(name.clone(), (place, Instant::now()));
        self.places.insert(name, place);
        tally.count(place, |part| part.jobs.made += 1);
        Ok(())
    }

    /// Notes what has ended, and takes it away.
    async fn look(&mut self, space: &Space, tally: &Tally) -> Result<()> {
        let pods = space.api::<Pod>().list(&ListParams::default().labels("job-name")).await?.items;
        for pod in pods.iter().filter(|pod| !pod.labels().contains_key("curfew.dev/applied")) {
            let place = pod.labels().get("job-name").and_then(|job| self.places.get(job));
            let place = place.copied().unwrap_or_else(|| tally.now());
            tally.count(place, |part| part.jobs.unpatched.insert(pod.name_any()));
        }
        for job in space.api::<Job>().list(&ListParams::default()).await?.items {
            let name = job.name_any();
            let Some((place, made)) = self.running.get(&name).copied() else { continue };
            let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
            let is = |kind: &str| conditions.iter().any(|is| is.type_ == kind && is.status == "True");
            let took = made.elapsed();
            let lost = if is("Complete") {
                None
            } else if is("Failed") {
                Some(format!("{name} failed"))
            } else if took > PATIENCE {
                Some(format!("{name} did not end"))
            } else {
                continue;
            };
            self.running.remove(&name);
            let hangs = lost.is_some();
            tally.count(place, |part| match lost {
                None => {
                    part.jobs.complete += 1;
                    part.jobs.longest = part.jobs.longest.max(took);
                }
                Some(why) => part.jobs.lost.push(why),
            });
            // What hangs stays, for whoever looks at it.
            if !hangs {
                space.delete::<Job>(&name, &DeleteParams::background()).await?;
            }
        }
        Ok(())
    }

    /// Notes whose pods were refused at first.
    async fn refused(&self, space: &Space, tally: &Tally) -> Result<()> {
        let events = space.api::<Event>().list(&ListParams::default().fields("reason=FailedCreate")).await?;
        for event in events {
            let name = event.involved_object.name.unwrap_or_default();
            if let Some(place) = self.places.get(&name) {
                tally.count(*place, |part| part.jobs.refused.insert(name));
            }
        }
        Ok(())
    }
}
