//! What a process has seen published, and for how long.

use crate::ca::CaCertificate;
use std::time::Duration;

/// A CA in the published bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// The CA.
    pub ca: CaCertificate,
    /// For how long this process has seen it there, by a clock that nobody sets.
    pub seen: Duration,
    /// It was there at the first look, so for longer than that.
    pub found: bool,
}

/// Since when each CA has been seen without a break.
#[derive(Debug, Default)]
pub struct Sightings {
    list: Vec<Sighting>,
    looked: bool,
}

#[derive(Debug)]
struct Sighting {
    ca: CaCertificate,
    since: Duration,
    found: bool,
}

// === impl Sightings ===

impl Sightings {
    /// `bundle` is seen at `at`, as time since whatever moment.
    pub fn look(&mut self, bundle: &[CaCertificate], at: Duration) -> Vec<Published> {
        self.list.retain(|sighting| bundle.contains(&sighting.ca));
        for ca in bundle {
            if !self.list.iter().any(|sighting| sighting.ca == *ca) {
                self.list.push(Sighting { ca: ca.clone(), since: at, found: !self.looked });
            }
        }
        self.looked = true;
        let published = |sighting: &Sighting| {
            let Sighting { ca, since, found } = sighting;
            Published { ca: ca.clone(), seen: at.saturating_sub(*since), found: *found }
        };
        self.list.iter().map(published).collect()
    }

    /// How long after `at` the next CA will have been seen for as long as `hold`, if one has yet to be.
    pub fn until_next(&self, hold: Duration, at: Duration) -> Option<Duration> {
        let left = |sighting: &Sighting| (sighting.since + hold).checked_sub(at);
        self.list.iter().filter_map(left).filter(|left| !left.is_zero()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ca;
    use std::time::SystemTime;

    #[test]
    fn what_was_gone_for_a_moment_is_new_again() {
        let day = Duration::from_secs(24 * 3600);
        let ca = || Ca::generate(SystemTime::now(), day).unwrap().certificate().clone();
        let (old, new) = (ca(), ca());
        let mut sightings = Sightings::default();
        let mut look = |bundle: &[&CaCertificate], second| {
            let bundle: Vec<_> = bundle.iter().map(|&ca| ca.clone()).collect();
            let published = sightings.look(&bundle, Duration::from_secs(second));
            published.iter().map(|published| (published.seen.as_secs(), published.found)).collect::<Vec<_>>()
        };
        assert_eq!(look(&[&old], 100), [(0, true)]);
        assert_eq!(look(&[&old, &new], 110), [(10, true), (0, false)]);
        assert_eq!(look(&[&new], 120), [(10, false)]);
        assert_eq!(look(&[&new, &old], 130), [(20, false), (0, false)]);
        let next = |at| sightings.until_next(Duration::from_secs(30), Duration::from_secs(at));
        let expected = [(130, Some(10)), (139, Some(1)), (140, Some(20)), (159, Some(1)), (160, None)];
        assert_eq!(expected.map(|(at, _)| (at, next(at).map(|left| left.as_secs()))), expected);
    }
}
