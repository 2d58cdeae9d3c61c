//! `podseal profiles --check`: errors and warnings of a folder of profiles, and what
//! each profile sets and grants beyond the Pod Security Standards.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use crate::cli::output::{self, CHANGED, DENIED, QUIET, WARNED};
use crate::live_config::profile_folder::ProfileFolder;
use admission::lint::Severity;
use admission::lint::exposure::{additions, beyond, denied, grants, trusted};
use admission::lint::files::Remark;
use admission::profile::{Profile, Setting};
use admission::standards::Level;

/// The output of `-o json`. Its names are an interface.
#[derive(Serialize)]
struct CheckOutput {
    ok: bool,
    remarks: Vec<RemarkOutput>,
    profiles: Vec<ProfileCost>,
}

#[derive(Serialize)]
struct RemarkOutput {
    file: String,
    line: Option<u64>,
    column: Option<u64>,
    severity: &'static str,
    message: String,
}

#[derive(Serialize)]
struct ProfileCost {
    name: String,
    extends: Option<String>,
    containers: Vec<Container>,
    grants: Vec<Grant>,
    /// What grants by an image mean.
    trusts: Vec<String>,
    denied: Denied,
    gives: Vec<String>,
    settings: Vec<&'static str>,
}

/// Why a job that sets nothing itself would be denied, at each level.
#[derive(Serialize)]
struct Denied {
    baseline: Vec<String>,
    restricted: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    beyond_baseline: Vec<String>,
    beyond_restricted: Vec<String>,
}

#[derive(Serialize)]
struct Grant {
    level: &'static str,
    container: String,
    control: &'static str,
}

/// Checks the profiles in `path`.
pub(super) fn check(path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let folder = ProfileFolder::new(path);
    let files = folder.files().context("--check")?;
    if files.is_empty() {
        anyhow::bail!("--check: there is no *.yaml in {}", path.display());
    }
    let (profiles, remarks) = match ProfileFolder::parse(&files) {
        Ok((profiles, remarks)) => (profiles.custom().map(ProfileCost::of).collect(), remarks),
        Err(error) => (Vec::new(), error.remarks()),
    };
    let is_error = |remark: &Remark| remark.severity == Severity::Error;
    let checked = CheckOutput {
        ok: !remarks.iter().any(is_error),
        remarks: remarks.iter().map(RemarkOutput::of).collect(),
        profiles,
    };
    if json {
        let mut text = serde_json::to_vec(&checked)?;
        text.push(b'\n');
        output::write_out(&text)?;
    } else {
        output::print(&checked.text())?;
    }
    Ok(match checked.ok {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

impl RemarkOutput {
    fn of(remark: &Remark) -> RemarkOutput {
        let position = remark.error.position;
        RemarkOutput {
            file: remark.file.clone(),
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            severity: match remark.severity {
                Severity::Error => "error",
                Severity::Warning | Severity::Deprecation => "warning",
            },
            message: remark.error.bounded().to_owned(),
        }
    }
}

impl ProfileCost {
    fn of(profile: &Profile) -> ProfileCost {
        let containers = beyond(profile).into_iter().map(|(name, beyond)| Container {
            name,
            beyond_baseline: beyond.baseline,
            beyond_restricted: beyond.restricted,
        });
        let grants = [Level::Baseline, Level::Restricted]
            .into_iter()
            .flat_map(|level| {
                let grant = move |(container, control)| Grant {
                    level: level.name(),
                    container,
                    control,
                };
                grants(profile, level).into_iter().map(grant)
            });
        ProfileCost {
            name: profile.name.clone(),
            extends: profile.extends.clone(),
            containers: containers.collect(),
            grants: grants.collect(),
            trusts: trusted(profile),
            denied: Denied {
                baseline: denied(profile, Level::Baseline),
                restricted: denied(profile, Level::Restricted),
            },
            gives: additions(profile),
            settings: profile.settings.iter().map(|s| s.name()).collect(),
        }
    }
}

impl CheckOutput {
    fn text(&self) -> String {
        let mut text = String::new();
        for remark in &self.remarks {
            let style = if remark.severity == "error" {
                DENIED
            } else {
                WARNED
            };
            let _ = write!(
                text,
                "{style}{}{style:#} {}",
                remark.severity,
                output::visible(&remark.file)
            );
            if let (Some(line), Some(column)) = (remark.line, remark.column) {
                let _ = write!(text, ":{line}:{column}");
            }
            let lines: Vec<_> = remark.message.lines().map(output::visible).collect();
            let _ = writeln!(text, ": {}", lines.join("\n  "));
        }
        for cost in &self.profiles {
            cost.write(&mut text);
        }
        if !self.ok {
            text.push_str("podseal uses no profile of this folder until you fix the errors.\n");
        }
        text
    }
}

impl ProfileCost {
    fn write(&self, text: &mut String) {
        let _ = write!(text, "{CHANGED}{}{CHANGED:#}", self.name);
        if let Some(base) = &self.extends {
            let _ = write!(text, ", extends {base}");
        }
        text.push('\n');
        if self.containers.is_empty() {
            let _ = writeln!(
                text,
                "  {QUIET}sets nothing that the Pod Security Standards forbid{QUIET:#}"
            );
        }
        for container in &self.containers {
            for (level, style, what) in [
                ("baseline", DENIED, &container.beyond_baseline),
                ("restricted", WARNED, &container.beyond_restricted),
            ] {
                if !what.is_empty() {
                    let _ = writeln!(
                        text,
                        "  {:<8} {style}beyond {level:<10}{style:#} {}",
                        container.name,
                        grouped(what)
                    );
                }
            }
        }
        for level in ["baseline", "restricted"] {
            let granted = self.grants.iter().filter(|grant| grant.level == level);
            let mut by_role: Vec<(&str, Vec<&str>)> = Vec::new();
            for Grant {
                container, control, ..
            } in granted
            {
                match by_role.last_mut().filter(|(role, _)| role == container) {
                    Some((_, controls)) => controls.push(control),
                    None => by_role.push((container, vec![control])),
                }
            }
            let by_role = by_role.iter();
            let by_role = by_role.map(|(role, what)| format!("{} to {role}", what.join(", ")));
            let by_role: Vec<_> = by_role.collect();
            if !by_role.is_empty() {
                let _ = writeln!(text, "  granted at {level}: {}", by_role.join("; "));
            }
            let (style, denied) = match level {
                "baseline" => (DENIED, &self.denied.baseline),
                _ => (WARNED, &self.denied.restricted),
            };
            if !denied.is_empty() {
                let denied = output::visible(&denied.join("; ")).into_owned();
                let _ = writeln!(text, "  {style}jobs denied at {level}{style:#}: {denied}");
            }
        }
        for trust in &self.trusts {
            let _ = writeln!(
                text,
                "  {WARNED}trusts{WARNED:#}: {}",
                output::visible(trust)
            );
        }
        if !self.gives.is_empty() {
            let gives = output::visible(&self.gives.join("; ")).into_owned();
            let _ = writeln!(text, "  sets {gives}");
        }
        // The default, all settings, is not printed.
        if self.settings.len() < Setting::ALL.len() {
            let settings = match self.settings[..] {
                [] => "nothing".to_owned(),
                ref settings => format!("only {}", settings.join(", ")),
            };
            let _ = writeln!(text, "  a namespace may change {settings}");
        }
    }
}

/// The entries, each `field: value`, with the values of a field together, and without
/// the prefix `securityContext.` that most have.
fn grouped(what: &[String]) -> String {
    let mut fields: Vec<(&str, Vec<&str>)> = Vec::new();
    for one in what {
        let (field, value) = one.split_once(": ").unwrap_or((one, ""));
        let field = field.strip_prefix("securityContext.").unwrap_or(field);
        match fields.iter_mut().find(|(known, _)| *known == field) {
            Some((_, values)) => values.push(value),
            None => fields.push((field, vec![value])),
        }
    }
    let fields = fields.iter();
    let fields = fields.map(|(field, values)| format!("{field}: {}", values.join(", ")));
    output::visible(&fields.collect::<Vec<_>>().join("; ")).into_owned()
}
