//! Single decisions, and a cluster in which replicas make them for years.

mod simulation;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);
const SECOND: Duration = Duration::from_secs(1);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn authority() -> Authority {
    Authority::create(Vec::new(), now(), Times::default().ca_life).unwrap()
}

fn published(cas: impl IntoIterator<Item = CaCertificate>, seen: Duration) -> Vec<Published> {
    cas.into_iter().map(|ca| Published { ca, seen, found: false }).collect()
}

fn scene<'a>(stored: Stored<'a>, published: &'a [Published], at: SystemTime) -> Scene<'a> {
    Scene { now: at, stored, remembered: None, published, uneven: false, serving: None, asked: false }
}

/// The moves, named.
fn names(scene: &Scene<'_>) -> Vec<&'static str> {
    moves(scene, Times::default()).iter().map(|found| found.action.name()).collect()
}

#[test]
fn a_first_install_creates_publishes_and_serves_without_a_hold() {
    assert_eq!(names(&scene(Stored::Absent, &[], now())), ["create"]);
    let authority = authority();
    assert_eq!(names(&scene(Stored::Held(&authority), &[], now())), ["publish"]);
    let bundle = published(authority.bundle(), DAY);
    assert_eq!(names(&scene(Stored::Held(&authority), &bundle, now())), ["serve"]);
}

#[test]
fn a_ca_made_in_the_place_of_a_trusted_one_signs_only_after_the_hold() {
    let old = authority();
    let bundle = published(old.bundle(), DAY);
    let found = moves(&scene(Stored::Absent, &bundle, now()), Times::default());
    assert_eq!(found[0].action, Action::Create(old.bundle()));
    let new = Authority::create(old.bundle(), now(), DAY * 365).unwrap();
    assert!(new.bundle().contains(old.active.certificate()));
    for (seen, expected) in [(0, &[][..]), (29, &[]), (30, &["settle", "serve"])] {
        let bundle = published(new.bundle(), SECOND * seen);
        assert_eq!(names(&scene(Stored::Held(&new), &bundle, now())), expected, "{seen}");
    }
    // A replica that starts later need not wait again.
    let mut bundle = published(new.bundle(), SECOND);
    bundle[0].found = true;
    assert_eq!(names(&scene(Stored::Held(&new.settled()), &bundle, now())), ["serve"]);
}

#[test]
fn what_is_remembered_is_put_back_and_goes_on_signing() {
    let authority = authority();
    let bundle = published(authority.bundle(), DAY);
    for stored in [Stored::Absent, Stored::Broken { why: "ca.key: it is missing", seen: SECOND }] {
        let scene = Scene { remembered: Some(&authority), ..scene(stored, &bundle, now()) };
        assert_eq!(names(&scene), ["restore", "serve"]);
    }
}

#[test]
fn a_broken_secret_nobody_remembers_is_made_anew_after_a_while() {
    let broken = |seen| Stored::Broken { why: "ca.key: it is missing", seen };
    assert_eq!(names(&scene(broken(SECOND * 9), &[], now())), [""; 0]);
    assert_eq!(names(&scene(broken(SECOND * 10), &[], now())), ["create"]);
}

#[test]
fn a_foreign_secret_is_left_alone_and_leaves_are_renewed_all_the_same() {
    assert_eq!(names(&scene(Stored::Foreign, &[], now())), ["refuse"]);
    let authority = authority();
    let bundle = published(authority.bundle(), DAY);
    let scene = Scene { remembered: Some(&authority), ..scene(Stored::Foreign, &bundle, now()) };
    assert_eq!(names(&scene), ["refuse", "serve"]);
}

#[test]
fn a_ca_is_followed_after_two_thirds_of_its_life_or_when_asked() {
    let authority = authority();
    let bundle = published(authority.bundle(), DAY);
    let leaf = authority.active.sign(&["localhost".parse().unwrap()], now(), DAY * 365).unwrap();
    let serving = Some(Serving { issuer: &leaf.issuer, life: leaf.life });
    let at = |after: Duration, asked| Scene {
        serving,
        asked,
        ..scene(Stored::Held(&authority), &bundle, now() + after)
    };
    assert_eq!(names(&at(DAY * 243, false)), [""; 0]);
    assert_eq!(names(&at(DAY * 244, false))[0], "stage");
    assert_eq!(names(&at(DAY, true)), ["stage"]);
}

#[test]
fn a_successor_signs_after_it_was_published_and_held() {
    let staged = authority().staged(now(), DAY * 365).unwrap();
    let leaf = staged.active.sign(&["localhost".parse().unwrap()], now(), DAY * 7).unwrap();
    let serving = Some(Serving { issuer: &leaf.issuer, life: leaf.life });
    let held = |bundle| Scene { serving, ..scene(Stored::Held(&staged), bundle, now()) };
    let old = published([staged.active.certificate().clone()], DAY);
    let [early, both] = [29, 30].map(|seen| published(staged.bundle(), SECOND * seen));
    assert_eq!(names(&held(&old)), ["publish"]);
    assert_eq!(names(&held(&early)), [""; 0]);
    assert_eq!(names(&held(&both)), ["promote"]);
    let promoted = staged.promoted(now());
    let after = Scene { serving, ..scene(Stored::Held(&promoted), &both, now()) };
    assert_eq!(names(&after), ["serve"]);
}

#[test]
fn a_successor_signs_at_once_when_the_ca_has_ended_before_it_was_held() {
    let staged = authority().staged(now(), DAY * 365 * 2).unwrap();
    let ended = now() + DAY * 366;
    let leaf = staged.active.sign(&["localhost".parse().unwrap()], now(), DAY * 365).unwrap();
    let serving = Some(Serving { issuer: &leaf.issuer, life: leaf.life });
    let at_its_end = |authority, bundle| Scene { serving, ..scene(Stored::Held(authority), bundle, ended) };
    let old = published([staged.active.certificate().clone()], DAY);
    assert_eq!(names(&at_its_end(&staged, &old)), ["publish"]);
    let both = published(staged.bundle(), SECOND);
    assert_eq!(names(&at_its_end(&staged, &both)), ["promote"]);
    let promoted = staged.promoted(ended);
    assert!(names(&at_its_end(&promoted, &both)).contains(&"serve"));
    // Whoever starts then need not wait either.
    let [_, new] = &both[..] else { panic!("{both:?}") };
    let found = [Published { found: true, ..new.clone() }];
    assert_eq!(names(&scene(Stored::Held(&promoted), &found, ended)), ["serve"]);
}

#[test]
fn a_secret_from_a_backup_is_told_of_the_ca_in_use_before_anything_is_published() {
    let (old, new) = (authority(), authority());
    let leaf = new.active.sign(&["localhost".parse().unwrap()], now(), DAY * 7).unwrap();
    let serving = Some(Serving { issuer: &leaf.issuer, life: leaf.life });
    let bundle = published(new.bundle(), DAY);
    let found = Scene { serving, ..scene(Stored::Held(&old), &bundle, now()) };
    let [Move { action: Action::Amend(ca), .. }] = &moves(&found, Times::default())[..] else { panic!() };
    let amended = old.trusting(ca);
    let after = |bundle| Scene { serving, ..scene(Stored::Held(&amended), bundle, now()) };
    assert_eq!(names(&after(&bundle)), ["publish"]);
    let [early, both] = [29, 30].map(|seen| published(amended.bundle(), SECOND * seen));
    assert_eq!(names(&after(&early)), [""; 0]);
    assert_eq!(names(&after(&both)), ["settle", "serve"]);
}

#[test]
fn who_starts_with_a_secret_older_than_the_bundle_keeps_those_in_use_trusted() {
    let (mut mine, other) = (authority(), authority());
    let many: Vec<_> = (0..4).map(|_| authority()).flat_map(|one| one.bundle()).collect();
    let found: Vec<_> =
        many.iter().map(|ca| Published { ca: ca.clone(), seen: Duration::ZERO, found: true }).collect();
    // However many there are: one that is told of does not push out another.
    for _ in 0..many.len() {
        let found = moves(&scene(Stored::Held(&mine), &found, now()), Times::default());
        let [Move { action: Action::Amend(ca), .. }] = &found[..] else { panic!("{found:?}") };
        mine = mine.trusting(ca);
    }
    assert!(many.iter().all(|ca| mine.bundle().contains(ca)));
    assert_eq!(names(&scene(Stored::Held(&mine), &found, now())), ["publish"]);
    let [early, both] = [29, 30].map(|seen| published(mine.bundle(), SECOND * seen));
    assert_eq!(names(&scene(Stored::Held(&mine), &early, now())), [""; 0]);
    assert_eq!(names(&scene(Stored::Held(&mine), &both, now())), ["settle", "serve"]);
    // Replicas of theirs are still there when this one serves: their CAs stay.
    let leaf = mine.active.sign(&["localhost".parse().unwrap()], now(), DAY * 7).unwrap();
    let serving = Some(Serving { issuer: &leaf.issuer, life: leaf.life });
    let settled = mine.settled();
    assert_eq!(names(&Scene { serving, ..scene(Stored::Held(&settled), &both, now()) }), [""; 0]);
    // What somebody adds beside the one that signs is not taken for somebody's who serves.
    let added = published([mine.bundle(), other.bundle()].concat(), DAY);
    assert_eq!(names(&scene(Stored::Held(&settled), &added, now())), ["serve"]);
    // Yet it may be that of a Secret not seen yet, so what the one seen says of API servers is not enough.
    let (fresh, mut beside) = (authority(), published(other.bundle(), SECOND));
    beside.extend(published(fresh.bundle(), SECOND));
    assert_eq!(names(&scene(Stored::Held(&fresh), &beside, now())), [""; 0]);
}

#[test]
fn a_leaf_is_renewed_after_two_thirds_of_its_life_although_the_bundle_is_blank() {
    let authority = authority();
    let leaf = authority.active.sign(&["localhost".parse().unwrap()], now(), DAY * 6).unwrap();
    let serving = Some(Serving { issuer: &leaf.issuer, life: leaf.life });
    let at = |day| Scene { serving, ..scene(Stored::Held(&authority), &[], now() + DAY * day) };
    assert_eq!(names(&at(3)), ["publish"]);
    assert_eq!(names(&at(4)), ["publish", "serve"]);
}

#[test]
fn a_bundle_somebody_blanked_or_added_to_is_published_again() {
    let authority = authority();
    let stranger = super::tests::authority();
    assert_eq!(names(&scene(Stored::Held(&authority), &[], now())), ["publish"]);
    let both = published([authority.bundle(), stranger.bundle()].concat(), DAY);
    let leaf = authority.active.sign(&["localhost".parse().unwrap()], now(), DAY * 7).unwrap();
    let serving = Some(Serving { issuer: &leaf.issuer, life: leaf.life });
    // One that does not serve yet does not know who needs the other.
    assert_eq!(names(&scene(Stored::Held(&authority), &both, now())), ["serve"]);
    assert_eq!(names(&Scene { serving, ..scene(Stored::Held(&authority), &both, now()) }), ["publish"]);
}

#[test]
fn no_leaf_is_signed_by_a_ca_that_has_ended_and_the_last_one_once() {
    let authority = authority();
    let bundle = published(authority.bundle(), DAY);
    let end = now() + DAY * 365;
    let leaf = authority.active.sign(&["localhost".parse().unwrap()], end - DAY, DAY * 7).unwrap();
    let serving = Some(Serving { issuer: &leaf.issuer, life: leaf.life });
    for (at, expected) in [(end - SECOND, &["stage"][..]), (end + DAY, &["stage"])] {
        assert_eq!(names(&Scene { serving, ..scene(Stored::Held(&authority), &bundle, at) }), expected);
    }
}

#[test]
fn only_where_a_ca_lives_for_minutes_is_the_hold_shorter_than_half_of_one() {
    for (life, hold) in [(DAY * 365, 30), (DAY, 30), (SECOND * 360, 30), (SECOND * 60, 5)] {
        assert_eq!(Times::with_lives(life, life).hold, SECOND * hold);
    }
}
