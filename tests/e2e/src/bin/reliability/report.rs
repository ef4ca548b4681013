//! The section of docs/reliability.md.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use curfew_tests::report::{Goal, Section, Table};

use crate::{jobs::MESHED, pods::GENERATED, tally::Part};

/// For how long the pace was to be held.
const STEADY: Duration = Duration::from_secs(300);

/// One part, for whoever waits.
pub(crate) fn line(part: &Part) -> String {
    format!(
        "{}: {:.0} s, {} pods, {} refused, {} unpatched; {} Jobs, {} lost; {} handshakes, {} refused",
        part.name,
        part.took().as_secs_f64(),
        part.pods.made,
        part.refused(),
        part.unpatched(),
        part.jobs.made,
        part.jobs.lost.len(),
        part.handshakes,
        part.untrusted.len(),
    )
}

/// All of it.
pub(crate) fn section(parts: &[Part], a_second: u32, job_every: Duration, jobs_at_once: usize) -> Section {
    let total = |count: fn(&Part) -> usize| parts.iter().map(count).sum::<usize>();
    let mut section = Section::new("reliability", "Figures", "make reliability");
    section.text(format!(
        "On the one-node Kubernetes of `make cluster`, beside all else that runs there. {a_second} pods a second are made in \
         a labelled namespace, gated so that they cost the node nothing, with a sidecar that Curfew makes native; the one who \
         makes them tries again after a second, as a controller does. Meanwhile Jobs run, one every {job_every:?} and \
         {jobs_at_once} at once at most, every other one under `reaper`, one in {MESHED} in the test mesh and the others beside a \
         small stand-in for a proxy. Twice a second somebody shakes hands \
         with each replica who trusts the bundle of 5 s ago. What is under way counts for the disruption during which it began."
    ));
    section.table(&of_pods(parts));
    section.plot("wait", "From the first try until a pod is made, at most", &["longest wait"]);
    section.text(
        "*Refused* are tries, by whatever but the API server's own absence, which is *unanswered*. The reasons, and Jobs that did \
         not end:",
    );
    section.text(list(parts, refused));
    section.table(&of_jobs(parts));
    section.text(
        "*Refused first* are Jobs whose pod was refused, and made again by the Job controller. Replicas are killed in turn, the \
         next when both are ready again; after two restarts each they are replaced by a rolling restart, lest the kubelet's \
         back-off be measured. The certificates' row has two such restarts as well, to shorten their lives and back, and ends with \
         one rotation more, to a CA of the usual life. *Not trusted* are handshakes; what was wrong with them:",
    );
    section.text(list(parts, untrusted));

    let seconds: Duration = parts.iter().map(Part::took).sum();
    let rate = |count: usize| count as f64 / seconds.as_secs_f64().max(1.0);
    let pods = rate(total(|part| part.pods.wanted));
    section.goal(Goal::new(
        "pods",
        &format!("{a_second} a second for {} s", STEADY.as_secs()),
        format!("{pods:.1} a second for {:.0} s", seconds.as_secs_f64()),
        seconds >= STEADY && pods >= 0.98 * f64::from(a_second),
    ));
    let jobs = rate(total(|part| part.jobs.made));
    section.goal(Goal::new("Jobs", "1 a second", format!("{jobs:.2} a second"), jobs >= 0.98));
    let for_nothing = |part: &&Part| part.disruption.is_for_nothing();
    let refused: usize =
        parts.iter().filter(for_nothing).map(|part| part.refused() + part.jobs.refused.len()).sum();
    section.goal(Goal::new(
        "refused under SIGTERM, drain, rollout, rotations and a deleted Secret",
        "0",
        refused.to_string(),
        refused == 0,
    ));
    for (what, count) in [
        ("pods never made", total(|part| part.pods.wanted - part.pods.made)),
        ("unpatched", total(Part::unpatched)),
        ("Jobs that failed or did not end", total(|part| part.jobs.lost.len())),
        ("certificates an API server would not trust", total(|part| part.untrusted.len())),
    ] {
        section.goal(Goal::new(what, "0", count.to_string(), count == 0));
    }
    section
}

fn of_pods(parts: &[Part]) -> Table {
    let mut table =
        Table::new(&["disruption", "took", "pods", "refused", "unanswered", "longest wait", "unpatched"]);
    for part in parts {
        table.row([
            part.name.clone(),
            format!("{:.0} s", part.took().as_secs_f64()),
            part.pods.made.to_string(),
            part.refused().to_string(),
            part.pods.unanswered.to_string(),
            format!("{:.2} s", part.pods.longest.as_secs_f64()),
            part.pods.unpatched.len().to_string(),
        ]);
    }
    table
}

fn of_jobs(parts: &[Part]) -> Table {
    let mut table = Table::new(&[
        "disruption",
        "Jobs",
        "refused first",
        "Complete",
        "slowest",
        "unpatched",
        "handshakes",
        "not trusted",
    ]);
    for part in parts {
        table.row([
            part.name.clone(),
            part.jobs.made.to_string(),
            part.jobs.refused.len().to_string(),
            part.jobs.complete.to_string(),
            format!("{:.0} s", part.jobs.longest.as_secs_f64()),
            part.jobs.unpatched.len().to_string(),
            part.handshakes.to_string(),
            part.untrusted.len().to_string(),
        ]);
    }
    table
}

/// Every line of each part with how often it was said, most often first.
fn list(parts: &[Part], lines: fn(&Part) -> Vec<(String, usize)>) -> String {
    let mut all: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for part in parts {
        for (line, count) in lines(part) {
            *all.entry((&part.name, line)).or_default() += count;
        }
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by_key(|(_, count)| Reverse(*count));
    let line = |((part, why), count): ((&str, String), usize)| format!("* {part}: {count} × `{why}`");
    if all.is_empty() {
        "* none".to_owned()
    } else {
        all.into_iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Why tries were refused, and what became of Jobs that were lost.
fn refused(part: &Part) -> Vec<(String, usize)> {
    let tries = part.pods.refused.iter().map(|(why, count)| (plain(why), *count));
    tries.chain(part.jobs.lost.iter().map(|lost| (lost.clone(), 1))).collect()
}

/// Why certificates were not trusted, whichever replica showed them.
fn untrusted(part: &Part) -> Vec<(String, usize)> {
    let why = |line: &String| plain(line.split_once(": ").map_or(line, |(_replica, why)| why));
    part.untrusted.iter().map(|line| (why(line), 1)).collect()
}

/// The same for all that differ in numbers of seconds and in names that were generated only.
fn plain(why: &str) -> String {
    let word = |word: &str| {
        let core = word.trim_matches(|c: char| c.is_ascii_punctuation());
        let is_number = !core.is_empty() && core.bytes().all(|byte| byte.is_ascii_digit());
        match core.strip_prefix(GENERATED) {
            Some(rest) if !rest.is_empty() => word.replace(rest, "…"),
            None if is_number => word.replace(core, "…"),
            _ => word.to_owned(),
        }
    };
    why.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{list, refused, untrusted};
    use crate::{disruptions::Disruption, tally::Tally};

    #[test]
    fn what_differs_in_times_and_pods_is_one_line_and_handshakes_stand_apart() {
        let tally = Tally::default();
        let disruption = Disruption::Sigkill;
        tally.begin(disruption, disruption.name(3));
        tally.count(tally.now(), |part| {
            for (pod, now, ago) in [("curfew-a-b", 35, 3), ("curfew-a-c", 37, 5)] {
                part.untrusted.push(format!(
                    "{pod}: certificate expired: verification time 17953033{now} (UNIX), but certificate is not valid after \
                     1795303332 ({ago} seconds ago)"
                ));
            }
            for pod in ["load-x7k2p", "load-bcdfg"] {
                part.pods.refused.insert(format!("pods \"{pod}\" is forbidden"), 2);
            }
            part.pods.refused.insert("x509: EOF".to_owned(), 1);
            part.jobs.lost.push("work-7 did not end".to_owned());
        });
        let name = "replicas killed 3 times (SIGKILL)";
        assert_eq!(
            tally.read(|parts| list(parts, untrusted)),
            format!(
                "* {name}: 2 × `certificate expired: verification time … (UNIX), but certificate is not valid after … \
                 (… seconds ago)`"
            )
        );
        assert_eq!(
            tally.read(|parts| list(parts, refused)),
            format!(
                "* {name}: 4 × `pods \"load-…\" is forbidden`\n* {name}: 1 × `work-7 did not end`\n* {name}: 1 × `x509: EOF`"
            )
        );
        assert_eq!(list(&[], refused), "* none");
    }
}
