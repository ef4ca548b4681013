//! What somebody careless does to the simulated cluster.

use super::*;

impl World {
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self.secret.latest(), Secret::Foreign)
    }

    pub(super) fn store(&mut self, secret: Secret) {
        let latest = self.secret.0.len() - 1;
        self.secret.write(self.now, latest, secret);
    }

    pub(super) fn mishap(&mut self) {
        let what = self.roll(220);
        // Whose CA stands nowhere any more cannot be spared: another's replicas tell nobody of theirs, and what a Secret
        // has just lost is known by the bundles alone.
        let is_lost = match what {
            5..=8 if self.other.is_some() => true,
            5 => self.bundles.latest().is_uneven(),
            7 => self.is_foreign() || self.secret.latest_at() + Duration::from_secs(60) > self.now,
            _ => false,
        };
        if is_lost {
            return;
        }
        match what {
            0 => self.store(Secret::Absent),
            1 => self.store(Secret::Broken("ca.key: it is missing".to_owned())),
            2 => {
                let place = self.roll(3) as usize;
                self.replicas[place] = self.replica();
            }
            3 => {
                let place = self.roll(3) as usize;
                self.replicas[place].frozen_until = self.now + Duration::from_secs(self.roll(30 * 24 * 3600));
            }
            4 => self.asked = true,
            5 => {
                // Somebody brings an old one back.
                let before = self.roll(self.secret.0.len() as u64) as usize;
                if let Secret::Held(authority) = &self.secret.0[before].1 {
                    let again = Secret::Held(authority.clone());
                    self.store(again);
                }
            }
            6 => {
                let latest = self.bundles.0.len() - 1;
                self.bundles.write(self.now, latest, Bundles::default());
            }
            7 => self.spoil_a_bundle(),
            8 => self.come_back(),
            9 => self.store(Secret::Foreign),
            _ => {}
        }
    }

    /// Somebody blanks one webhook's bundle, or adds a CA of their own to what is there.
    fn spoil_a_bundle(&mut self) {
        let mut bundles = self.bundles.latest().clone();
        let (which, blanks) = (self.roll(2) as usize, self.roll(2) == 0);
        if blanks || bundles.0[which].is_empty() {
            bundles.0[which].clear();
        } else {
            bundles.0[which].insert(0, Ca::generate(self.now, TIMES.ca_life).unwrap().certificate().clone());
        }
        let latest = self.bundles.0.len() - 1;
        self.bundles.write(self.now, latest, bundles);
    }

    /// For a while cert-manager was in charge, and the Secret of before is still there when the replicas start again.
    fn come_back(&mut self) {
        let ca = Ca::generate(self.now, TIMES.ca_life).unwrap();
        let latest = self.bundles.0.len() - 1;
        self.bundles.write(self.now, latest, Bundles::even(vec![ca.certificate().clone()]));
        let meanwhile = Duration::from_secs(60 + self.roll(24 * 3600));
        self.now += meanwhile;
        let leaf = ca.sign(&[service()], self.now, TIMES.leaf_life).unwrap();
        let until = self.now + Duration::from_secs(60) + self.up_to(120_000);
        self.other = Some(Other { leaf, until });
        for place in 0..self.replicas.len() {
            self.replicas[place] = self.replica();
        }
        self.returns += 1;
    }
}
