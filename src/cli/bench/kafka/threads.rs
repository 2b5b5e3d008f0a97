//! What each thread of this process took of the cores, as the system tells it: nothing where it does not.

use std::collections::BTreeMap;

/// Gives the nanoseconds that threads took so far, by their names. Threads of one name count together.
pub(super) fn cpu_times() -> BTreeMap<String, u64> {
    let mut times = BTreeMap::new();
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return times };
    for task in tasks.flatten() {
        let read = |name| std::fs::read_to_string(task.path().join(name)).ok();
        // A thread may end while it is looked at.
        let (Some(name), Some(spent)) = (read("comm"), read("schedstat")) else { continue };
        let first = spent.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        *times.entry(name.trim().to_owned()).or_default() += first.unwrap_or(0);
    }
    times
}

/// Adds what threads took between two looks.
pub(super) fn add(
    sum: &mut BTreeMap<String, u64>,
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
) {
    for (name, spent) in after {
        let took = spent.saturating_sub(before.get(name).copied().unwrap_or(0));
        if took > 0 {
            *sum.entry(name.clone()).or_default() += took;
        }
    }
}
