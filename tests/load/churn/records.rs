//! What the replicas have recorded, compared with what became of the pods.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::jobs::Jobs;

impl Jobs<'_> {
    /// Fails if a pod was created without the records of both webhooks, or denied without
    /// that of its denial.
    pub(crate) fn check_records(&self, records: &str) {
        let mut recorded: HashMap<String, HashSet<String>> = HashMap::new();
        let mut cut = 0;
        for line in records.lines().filter(|line| !line.is_empty()) {
            let Ok(record) = serde_json::from_str::<Value>(line) else {
                cut += 1;
                continue;
            };
            let text = |name: &str| record[name].as_str().expect("a text").to_owned();
            let decision = format!("{} {}", text("webhook"), text("decision"));
            recorded.entry(text("pod")).or_default().insert(decision);
        }
        // Only who is killed leaves half a line.
        let killed = self.cluster.killed.count();
        assert!(cut <= killed, "{cut} lines are cut, {killed} were killed");
        let has = |pod: &String, begin: &str| {
            let decisions = recorded.get(pod).into_iter().flatten();
            decisions
                .filter(|decision| decision.starts_with(begin))
                .count()
                > 0
        };
        let created = self.created.lock().expect("no holder panics");
        let denied = self.denied.lock().expect("no holder panics");
        let lost = created
            .iter()
            .filter(|pod| !(has(pod, "mutate ") && has(pod, "validate ")));
        let lost: Vec<_> = lost
            .chain(denied.iter().filter(|pod| !has(pod, "validate deny")))
            .collect();
        println!(
            "{} jobs and {} denials, {} without their records",
            created.len(),
            denied.len(),
            lost.len()
        );
        assert!(lost.is_empty(), "{lost:?}");
    }
}
