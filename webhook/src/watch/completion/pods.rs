//! The pods Curfew watches over, as a stream that never ends.

use futures_util::{StreamExt, stream::BoxStream};
use kube::{
    Api, Client,
    runtime::{watcher, watcher::Event},
};
use tokio::time::{Instant, sleep_until};

use super::{
    super::{PAGE, Pauses, pauses},
    judge::Judgement,
    pod::Pod,
};

/// Whatever happens to the connection: what cannot be resumed is listed again.
pub(super) struct Pods {
    api: Api<Pod<Judgement>>,
    events: BoxStream<'static, watcher::Result<Event<Pod<Judgement>>>>,
    /// Nothing is asked before.
    not_before: Option<Instant>,
    pauses: Pauses,
}

/// Only pods that are meant to end, run, and were seen to by Curfew in a way that leaves sidecars in `containers`.
const FIELDS: &str = "spec.restartPolicy!=Always,status.phase=Running";
const LABELS: &str = "curfew.dev/applied in (await,reaper,leave)";
/// A watch is renewed after as many seconds, which costs nothing; a connection that died without a word is noticed so.
const RENEWED: u32 = 60;

// === impl Pods ===

impl Pods {
    pub(super) fn new(client: Client) -> Self {
        let api = Api::all(client);
        Self { events: listed(&api), api, not_before: None, pauses: pauses() }
    }

    /// The next event, or why there is none at the moment. May be dropped and called again.
    pub(super) async fn next(&mut self) -> watcher::Result<Event<Pod<Judgement>>> {
        if let Some(at) = self.not_before {
            sleep_until(at).await;
            self.not_before = None;
        }
        let event = self.events.next().await.unwrap_or(Err(watcher::Error::NoResourceVersion));
        if let Err(error) = &event {
            self.not_before = self.pauses.next().map(|pause| Instant::now() + pause);
            // A stream that broke off is resumed where it was. Where that cannot be had, all is read anew: kube would ask
            // for the same version for ever, which may be one the API server does not know any more.
            if !matches!(error, watcher::Error::WatchFailed(_)) {
                self.events = listed(&self.api);
            }
        }
        event
    }
}

fn listed(api: &Api<Pod<Judgement>>) -> BoxStream<'static, watcher::Result<Event<Pod<Judgement>>>> {
    let config = watcher::Config::default().fields(FIELDS).labels(LABELS).page_size(PAGE).timeout(RENEWED);
    watcher(api.clone(), config).boxed()
}
