//! What the doctor found, in all.

use serde::Serialize;

use super::command::ClusterFlags;
use super::facts::Facts;
use super::finding::{Finding, Severity};
use super::nodes::NodeTable;
use super::trial::Trial;
use super::{installation, jobs, namespaces, node_findings};

/// What was found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The findings, by area.
    pub findings: Vec<Finding>,
    /// Which profile works where.
    pub nodes: NodeTable,
    /// The pods that were tried.
    pub trials: Vec<Trial>,
}

impl Report {
    /// Judges what was read and tried.
    pub fn of(facts: &Facts, trials: Vec<Trial>) -> Report {
        let table = NodeTable::of(facts, &trials);
        let mut findings = installation::findings(facts);
        findings.extend(namespaces::findings(facts, &table));
        findings.extend(jobs::findings(facts));
        findings.extend(node_findings::findings(facts, &table, &trials));
        findings.sort_by_key(|finding| finding.area);
        Report {
            findings,
            nodes: table,
            trials,
        }
    }

    /// The same with commands for the cluster that these flags name.
    #[must_use]
    pub fn with(mut self, flags: &ClusterFlags) -> Report {
        for finding in &mut self.findings {
            finding.fix = finding.fix.take().map(|fix| fix.with(flags));
        }
        if let Some(best) = &mut self.nodes.best {
            best.command = best.command.with(flags);
        }
        self
    }

    /// The worst of the findings.
    pub fn severity(&self) -> Severity {
        let severities = self.findings.iter().map(|finding| finding.severity);
        severities.max().unwrap_or(Severity::Ok)
    }

    /// How many findings are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings
            .filter(|finding| finding.severity == severity)
            .count()
    }
}
