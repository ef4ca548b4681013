//! Replicas, API servers and somebody careless, over years of made-up time.
//!
//! What must hold at every moment: each leaf a replica serves is valid, and signed by a CA that every API server has
//! in its bundles, however far behind its copy is.

mod mishaps;
mod parts;

use super::*;
use crate::issue::SubjectName;
use parts::{Bundles, Clock, History, Other, Replica, Secret};

struct World {
    now: SystemTime,
    dice: u64,
    secret: History<Secret>,
    bundles: History<Bundles>,
    replicas: Vec<Replica>,
    other: Option<Other>,
    /// How far behind each API server is, and its clock.
    servers: Vec<(Duration, Clock)>,
    asked: bool,
    rotations: usize,
    returns: usize,
}

const TIMES: Times = Times {
    ca_life: Duration::from_secs(90 * 24 * 3600),
    leaf_life: Duration::from_secs(7 * 24 * 3600),
    hold: Duration::from_secs(30),
    patience: Duration::from_secs(10),
};

// === impl World ===

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            now: now(),
            dice: seed,
            secret: History(vec![(now(), Secret::Absent)]),
            bundles: History(vec![(now(), Bundles::default())]),
            replicas: Vec::new(),
            other: None,
            servers: Vec::new(),
            asked: false,
            rotations: 0,
            returns: 0,
        };
        for _ in 0..3 {
            let replica = world.replica();
            world.replicas.push(replica);
            let server = (world.up_to(29_000), world.clock());
            world.servers.push(server);
        }
        world
    }

    fn roll(&mut self, sides: u64) -> u64 {
        // xorshift64: the same seed, the same years.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    fn up_to(&mut self, millis: u64) -> Duration {
        Duration::from_millis(self.roll(millis))
    }

    /// Two may be five minutes apart.
    fn clock(&mut self) -> Clock {
        Clock { ahead: self.up_to(149_000), behind: self.up_to(149_000) }
    }

    fn replica(&mut self) -> Replica {
        Replica {
            clock: self.clock(),
            secret_lag: self.up_to(3000),
            bundle_lag: self.up_to(3000),
            remembered: None,
            sightings: Sightings::default(),
            broken_since: None,
            leaf: None,
            frozen_until: self.now,
        }
    }

    /// Time passes, and every replica looks and acts.
    fn step(&mut self, careless: bool) {
        // Mostly seconds, now and then a day on which nothing happens.
        let passes = match self.roll(40) {
            0 if careless => Duration::from_secs(self.roll(36 * 3600)),
            _ => self.up_to(4000),
        };
        self.now += passes;
        self.other = self.other.take().filter(|other| self.now < other.until);
        match self.roll(10) {
            // It is what the log says.
            0 if self.is_foreign() => self.store(Secret::Absent),
            _ if careless => self.mishap(),
            _ => {}
        }
        for place in 0..self.replicas.len() {
            if self.replicas[place].frozen_until <= self.now {
                self.act(place);
            }
        }
        self.check();
    }

    fn act(&mut self, place: usize) {
        let Self { now, secret, bundles, replicas, asked, rotations, .. } = self;
        let (truth, replica) = (*now, &mut replicas[place]);
        let now = replica.clock.shows(truth);
        let secret_seen = secret.version_at(truth - replica.secret_lag);
        let bundles_seen = bundles.version_at(truth - replica.bundle_lag);
        let of_them = bundles.0[bundles_seen].1.clone();
        let since_start = truth.duration_since(super::now()).unwrap();
        let published = replica.sightings.look(&of_them.trusted(), since_start);
        let stored = replica.judge(&secret.0[secret_seen].1, truth);
        let serving = replica.leaf.as_ref().map(|leaf| Serving { issuer: &leaf.issuer, life: leaf.life });
        let scene = Scene {
            now,
            stored,
            remembered: replica.remembered.as_ref(),
            published: &published,
            uneven: of_them.is_uneven(),
            serving,
            asked: *asked,
        };
        let found = moves(&scene, TIMES);
        let authority = replica.remembered.clone();
        let held = || authority.clone().expect("an authority");
        for found in found {
            let mut write = |new: Authority| secret.write(truth, secret_seen, Secret::stored(&new));
            match found.action {
                Action::Create(trusted) => {
                    write(Authority::create(trusted, now, TIMES.ca_life).unwrap());
                }
                Action::Restore => {
                    write(held());
                }
                Action::Amend(ca) => {
                    write(held().trusting(&ca));
                }
                Action::Stage => *asked &= !write(held().staged(now, TIMES.ca_life).unwrap()),
                Action::Promote => *rotations += usize::from(write(held().promoted(now))),
                Action::Settle => {
                    write(held().settled());
                }
                Action::Publish(cas) => {
                    bundles.write(truth, bundles_seen, Bundles::even(cas));
                }
                Action::Serve => {
                    replica.leaf = Some(held().active.sign(&[service()], now, TIMES.leaf_life).unwrap());
                }
                Action::Refuse => {}
            }
        }
    }

    fn check(&self) {
        let awake = self.replicas.iter().filter(|replica| replica.frozen_until <= self.now);
        let leaves = awake.filter_map(|replica| replica.leaf.as_ref());
        for leaf in leaves.chain(self.other.iter().map(|other| &other.leaf)) {
            for (lag, clock) in &self.servers {
                let Bundles(bundles) = &self.bundles.0[self.bundles.version_at(self.now - *lag)].1;
                // One that has read no bundle since the install, or a blank one, trusts nobody: nothing can be lost.
                for trusted in bundles.iter().filter(|bundle| !bundle.is_empty()) {
                    let lives = [leaf.life, leaf.issuer.life()];
                    assert!(
                        lives.iter().all(|life| life.contains(clock.shows(self.now))),
                        "a leaf or its CA has ended, or not begun"
                    );
                    assert!(trusted.contains(&leaf.issuer), "an API server does not trust a leaf");
                }
            }
        }
    }

    fn serving(&self) -> usize {
        self.replicas.iter().filter(|replica| replica.leaf.is_some()).count()
    }
}

fn service() -> SubjectName {
    "curfew.curfew.svc".parse().unwrap()
}

#[test]
fn no_api_server_ever_meets_a_leaf_it_does_not_trust() {
    let (mut rotations, mut returns) = (0, 0);
    for seed in 1..=12 {
        let mut world = World::new(0x9E37_79B9_7F4A_7C15_u64.rotate_left(seed));
        for _ in 0..1500 {
            world.step(true);
        }
        rotations += world.rotations;
        returns += world.returns;
    }
    assert!(rotations > 50 && returns > 20, "{rotations} rotations and {returns} returns prove little");
}

#[test]
fn whatever_happened_all_agree_a_quiet_while_later() {
    for seed in 1..=6 {
        let mut world = World::new(0xD1B5_4A32_D192_ED03_u64.rotate_left(seed));
        for _ in 0..300 {
            world.step(true);
        }
        let now = world.now;
        world.replicas.iter_mut().for_each(|replica| replica.frozen_until = now);
        for _ in 0..200 {
            world.step(false);
        }
        let Secret::Held(authority) = world.secret.latest() else { panic!("no Secret") };
        assert_eq!(world.serving(), 3);
        let bundle = authority.bundle();
        assert!(!world.bundles.latest().is_uneven());
        let trusted = world.bundles.latest().trusted();
        assert!(trusted.len() == bundle.len() && trusted.iter().all(|ca| bundle.contains(ca)));
        let signed =
            |replica: &Replica| replica.leaf.as_ref().unwrap().issuer == *authority.active.certificate();
        assert!(world.replicas.iter().all(signed));
    }
}

#[test]
fn a_first_install_serves_within_half_a_minute() {
    let mut world = World::new(7);
    let start = world.now;
    while world.serving() < 3 {
        world.step(false);
        assert!(world.now < start + Duration::from_secs(30));
    }
}
