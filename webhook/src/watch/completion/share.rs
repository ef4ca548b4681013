//! Who does what among the replicas: every one sees every pod, and one of them acts first.

/// The place of `own` among `ready` replicas for the pod of this UID: 0 acts at once, the others wait in turn to see
/// whether it did. Each replica comes to the same order by itself (rendezvous hashing), and where one comes or goes
/// only its own pods change hands.
pub(super) fn rank(uid: &str, own: &str, ready: &[Box<str>]) -> u32 {
    let weight = |name: &str| (hash(&[name, uid]), name.to_owned());
    let mine = weight(own);
    // A replica that is not ready stands back behind those that are.
    let is_ready = ready.iter().any(|name| **name == *own);
    let before = ready.iter().filter(|name| ***name != *own && (!is_ready || weight(name) > mine)).count();
    u32::try_from(before).unwrap_or(u32::MAX)
}

/// A hash that is the same in every replica, release and architecture: FNV-1a, its bits mixed once more, as short
/// texts that differ in their last letter would otherwise sort alike.
pub(super) fn hash(parts: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    // 0xff is in no text, so parts cannot run into each other.
    for byte in parts.iter().flat_map(|part| part.bytes().chain([0xff])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicas(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| Box::from(*name)).collect()
    }

    fn uid(number: u32) -> String {
        format!("c0347736-4ec3-472d-80e9-{number:012}")
    }

    #[test]
    fn every_pod_has_one_who_acts_first_and_an_order_behind() {
        let names = ["curfew-a", "curfew-b", "curfew-c"];
        let ready = replicas(&names);
        let mut owned = [0; 3];
        for number in 0..3000 {
            let ranks = names.map(|own| rank(&uid(number), own, &ready));
            let mut sorted = ranks;
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
            owned[ranks.iter().position(|rank| *rank == 0).expect("an owner")] += 1;
        }
        assert!(owned.iter().all(|pods| (850..1150).contains(pods)), "{owned:?}");
    }

    #[test]
    fn a_replica_that_goes_leaves_the_others_pods_where_they_are() {
        let (both, one) = (replicas(&["a", "b", "c"]), replicas(&["a", "b"]));
        for number in 0..500 {
            let uid = uid(number);
            if rank(&uid, "a", &both) == 0 {
                assert_eq!(rank(&uid, "a", &one), 0);
            }
        }
    }

    #[test]
    fn whoever_is_not_ready_stands_back_and_whoever_is_alone_acts() {
        assert_eq!(rank("u", "a", &replicas(&["b", "c"])), 2);
        assert_eq!(rank("u", "a", &[]), 0);
        assert_eq!(rank("u", "", &[]), 0);
    }
}
