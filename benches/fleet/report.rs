//! The table of a large fleet, with goals.

use super::Measured;
use super::churn::Outcome;
use super::common::table::Table;

const MIB: f64 = 1024.0 * 1024.0;

/// Growth of less than this is noise of the allocator.
const FLAT_MIB: f64 = 2.0;

/// The table.
pub(crate) fn table(measured: &Measured) -> Table {
    let Measured {
        arguments,
        ready_ms,
        without,
        kept_bytes,
        with,
        after_bytes,
        large,
    } = measured;
    let mut table = Table::of(["what", "measured", "goal"]);
    let mut row = |what: &str, figure: String, goal: Option<(&str, bool)>| {
        let goal = goal.map_or_else(
            || "–".to_owned(),
            |(goal, is_met)| format!("{} {goal}", if is_met { "✓" } else { "✗" }),
        );
        table.row([what.to_owned(), figure, goal]);
    };
    let wanted = arguments.rate as f64;
    row(
        "jobs, each in a namespace of its own",
        format!("{} at {:.1}/s of {wanted}/s", with.jobs, with.rate),
        None,
    );
    let gets = with.gets as f64 / with.jobs.max(1) as f64;
    row(
        "GETs of namespaces by podseal, per job",
        format!("{gets:.3} ({} in all)", with.gets),
        Some(("< 0.05", gets < 0.05)),
    );
    row(
        "refused jobs, shed reviews",
        format!(
            "{}, {:.0}{}",
            with.refused.len(),
            with.shed,
            first(&with.refused)
        ),
        Some(("0", with.refused.is_empty() && with.shed == 0.0)),
    );
    for (percent, name) in [(50, "p50"), (99, "p99")] {
        for (what, [ours, others]) in [
            ("a labelled namespace", &with.existing),
            ("a new namespace of the rule", &with.new),
        ] {
            let [ours, others] = [ours, others].map(|all| percentile(all, percent));
            row(
                &format!("to create a pod in {what}, {name}"),
                format!(
                    "{:.1} ms more; {others:.1} ms without podseal",
                    ours - others
                ),
                None,
            );
        }
    }
    row(
        "CPU time of the API server, per job",
        format!(
            "{:.2} ms; {:.2} ms without podseal",
            per_job(with.api_server, with),
            per_job(without.api_server, without)
        ),
        None,
    );
    row(
        "CPU time of podseal, per job",
        format!("{:.2} ms", per_job(with.podseal, with)),
        None,
    );
    let mib = |bytes: &u64| *bytes as f64 / MIB;
    row(
        &format!("resident memory, {} namespaces of the rule", arguments.kept),
        format!("{:.1} MiB", mib(kept_bytes)),
        Some(("< 40 MiB", mib(kept_bytes) < 40.0)),
    );
    let memory: Vec<f64> = with.memory.iter().chain([after_bytes]).map(mib).collect();
    let texts: Vec<_> = memory.iter().map(|mib| format!("{mib:.1}")).collect();
    let grown = memory[memory.len() - 1] - memory[0];
    row(
        "the same, from the first job to the last, by quarters",
        format!("{} MiB", texts.join(", ")),
        Some(("flat", grown < FLAT_MIB)),
    );
    row(
        "start to ready, two namespaces",
        format!("{ready_ms:.0} ms"),
        None,
    );
    let all = format!("{} namespaces", arguments.all);
    row(
        &format!("start to ready, {all}"),
        format!("{:.0} ms, {} pages", large.ready_ms, large.pages),
        None,
    );
    row(
        &format!("resident memory, {all}"),
        format!("{:.1} MiB", mib(&large.bytes)),
        None,
    );
    let expired = &large.expired;
    row(
        &format!("after the error 410, {all}"),
        format!(
            "stale for {:.2} s, {} pages, {} pods, {} GETs",
            expired.seconds, expired.pages, expired.pods, expired.gets
        ),
        None,
    );
    row(
        "refused jobs meanwhile",
        format!("{}{}", expired.refused.len(), first(&expired.refused)),
        Some(("0", expired.refused.is_empty())),
    );
    table
}

fn first(refused: &[String]) -> String {
    refused
        .first()
        .map_or_else(String::new, |first| format!(" ({first})"))
}

/// Milliseconds per job. A pod to compare counts as a part of its job.
fn per_job(seconds: f64, outcome: &Outcome) -> f64 {
    seconds * 1e3 / outcome.jobs.max(1) as f64
}

fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let index = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(index).copied().unwrap_or(f64::NAN)
}
