//! Finding the cycle in a standstill.

use crate::sync::Arc;
use crate::sync::Reason;

/// The queue whose turn a thread waits for, and the queues that it holds meanwhile.
fn wait_of(reason: &Reason) -> Option<(&Arc<str>, &[Arc<str>])> {
    match reason {
        Reason::Sync { queue, held } => Some((queue, held)),
        _ => None,
    }
}

/// The labels of queues that wait for each other, the first one again at the end; nothing if there is no cycle.
///
/// A label stands for its queue by its address, as two queues may be called the same.
pub(super) fn find<'a>(reasons: impl Iterator<Item = &'a Reason>) -> Vec<String> {
    let waits: Vec<_> = reasons.filter_map(wait_of).collect();
    let holder = |queue: &Arc<str>| waits.iter().position(|(_, held)| held.iter().any(|held| Arc::ptr_eq(held, queue)));
    for first in 0..waits.len() {
        // A chain that has not come back after as many links as there are waits runs into a cycle without `first`.
        let mut chain = vec![waits[first].0];
        while chain.len() <= waits.len() {
            let Some(next) = chain.last().and_then(|queue| holder(queue)) else { break };
            if next == first {
                chain.push(waits[first].0);
                return chain.iter().map(|label| label.to_string()).collect();
            }
            chain.push(waits[next].0);
        }
    }
    Vec::new()
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::find;
    use crate::sync::Arc;
    use crate::sync::Reason;

    fn sync(queue: &Arc<str>, held: &[&Arc<str>]) -> Reason {
        Reason::Sync { queue: Arc::clone(queue), held: held.iter().map(|label| Arc::clone(label)).collect() }
    }

    #[test]
    fn two_threads_that_hold_what_the_other_wants_are_a_cycle() {
        let [a, b] = ["a", "b"].map(Arc::<str>::from);
        assert_eq!(find([sync(&a, &[&b]), Reason::Event, sync(&b, &[&a])].iter()), ["a", "b", "a"]);
    }

    #[test]
    fn a_thread_that_only_waits_behind_a_cycle_is_not_part_of_it() {
        let [a, b, c] = ["a", "b", "c"].map(Arc::<str>::from);
        let waits = [sync(&a, &[]), sync(&a, &[&c, &b]), sync(&b, &[&a])];
        assert_eq!(find(waits.iter()), ["a", "b", "a"]);
    }

    #[test]
    fn a_chain_that_ends_is_no_cycle_and_a_label_alone_is_no_queue() {
        let [a, b, other_a] = ["a", "b", "a"].map(Arc::<str>::from);
        let waits = [sync(&a, &[&b]), sync(&b, &[&other_a])];
        assert_eq!(find(waits.iter()), [""; 0]);
    }
}
