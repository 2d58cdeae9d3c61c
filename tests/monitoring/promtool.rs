//! Prometheus' own tool, and what it is asked.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};
use support::{run, text};

use crate::site::SITE;
use crate::timeline::Series;

/// Where `tests/promtool/build.sh` puts it, built if need be.
static PROMTOOL: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promtool/build.sh");
    let output = Command::new(script).stderr(Stdio::inherit()).output();
    let output = output.expect("bash can be started");
    assert!(output.status.success(), "promtool could not be built");
    Path::new(text(&output.stdout).trim()).join("promtool")
});

/// An expression, and what it has to give.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    expr: String,
    labels: &'static str,
}

impl Question {
    /// At least one series with a number.
    pub(crate) fn number(expr: &str) -> Question {
        Question {
            expr: format!("count(({expr}) > -Inf) > bool 0"),
            labels: "{}",
        }
    }

    /// Series that all have the label.
    pub(crate) fn label(expr: &str, label: &str) -> Question {
        let marked = format!(r#"label_replace(({expr}), "it", "has", "{label}", ".+")"#);
        Question {
            expr: format!("count by (it) ({marked}) > bool 0"),
            labels: r#"{it="has"}"#,
        }
    }
}

/// A file of promtool's tests that asks `questions` when all of `series` is past.
pub(crate) fn questions(series: Vec<Series>, questions: &[Question]) -> Value {
    let tests = questions.iter().map(|question| {
        json!({
            "expr": question.expr,
            "eval_time": "20m",
            "exp_samples": [{"labels": question.labels, "value": 1}],
        })
    });
    let tests: Vec<_> = tests.collect();
    json!({"tests": [group("questions", &series, json!({"promql_expr_test": tests}))]})
}

/// A test group at the time of the scrapes.
pub(crate) fn group(name: &str, series: &[Series], tests: Value) -> Value {
    let mut group = tests;
    group["name"] = name.into();
    group["interval"] = "1m".into();
    group["start_timestamp"] = SITE.time.to_string().into();
    group["input_series"] = series.iter().map(Series::input).collect();
    group
}

/// Runs `promtool test rules`, and returns what it complains of.
pub(crate) fn answers(files: &[Value]) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut promtool = Command::new(&*PROMTOOL);
    promtool.args(["test", "rules"]);
    for (index, file) in files.iter().enumerate() {
        let mut file = file.clone();
        if let Some(rules) = file.as_object_mut().and_then(|file| file.remove("rules")) {
            let path = folder.path().join(format!("rules-{index}.json"));
            std::fs::write(&path, rules.to_string()).expect("a file");
            file["rule_files"] = json!([path]);
        }
        let path = folder.path().join(format!("test-{index}.json"));
        std::fs::write(&path, file.to_string()).expect("a file");
        promtool.arg(path);
    }
    let output = run(promtool, "");
    let told = text(&output.stdout) + &text(&output.stderr);
    match output.status.success() {
        true => Ok(()),
        false => Err(told),
    }
}

/// Fails with what `promtool test rules` complains of.
pub(crate) fn assert_answered(file: Value) {
    if let Err(told) = answers(&[file]) {
        panic!("{told}");
    }
}

/// Lints an exposition.
pub(crate) fn check_metrics(exposition: &str) {
    let mut promtool = Command::new(&*PROMTOOL);
    promtool.args(["check", "metrics"]);
    assert_faultless(&run(promtool, exposition));
}

/// Checks a file of rules; a lint is a fault.
pub(crate) fn check_rules(rules: &str) {
    let mut promtool = Command::new(&*PROMTOOL);
    promtool.args(["check", "rules", "--lint", "all", "--lint-fatal"]);
    assert_faultless(&run(promtool, rules));
}

fn assert_faultless(output: &Output) {
    let told = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{told}");
}
