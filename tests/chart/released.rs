//! Charts that are out: those of `charts/released`, and the tree's own as it
//! would be packaged today.

use std::path::{Path, PathBuf};

use support::helm::{CHART, helm_prints};

use crate::release::Release;

/// The released charts, the tree's last.
fn charts(release: &Release, folder: &Path) -> Vec<String> {
    let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/released");
    let packed = folder.display().to_string();
    helm_prints(&release.plane, &["package", CHART, "-d", &packed]);
    let archives = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let paths = entries.map(|entry| entry.expect("the folder can be read").path());
        let mut archives: Vec<_> = paths
            .filter(|path| path.extension().is_some_and(|end| end == "tgz"))
            .collect();
        archives.sort();
        archives
    };
    let own = archives(folder);
    assert_eq!(own.len(), 1, "the tree's chart is packaged");
    let all = archives(&released).into_iter().chain(own);
    all.map(|path| path.display().to_string()).collect()
}

fn version(release: &Release, chart: &str) -> String {
    let about = helm_prints(&release.plane, &["show", "chart", chart]);
    let version = about
        .lines()
        .find_map(|line| line.strip_prefix("version: "));
    version.expect("a chart has a version").to_owned()
}

#[test]
fn an_upgrade_from_every_released_chart_fails_no_job() {
    let release = Release::new("earlier");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for chart in charts(&release, folder.path()) {
        release.helm("install", &chart, &[]);
        release.await_corrections();
        let bundles = release.ca_bundles();
        // Something differs, or nothing would be rolled out. What was not known then
        // is missing from the values.
        let upgrade = ["--reuse-values", "--set=podLabels.a=b"];
        let fared = release.under_traffic(|| release.upgrade(&upgrade));
        fared.is_flawless(&chart);
        assert_eq!(
            release.ca_bundles(),
            bundles,
            "{chart}: the caBundle has changed"
        );
        release.uninstall();
    }
    release.node().check();
}

#[test]
fn what_is_released_is_never_changed_under_its_version() {
    let release = Release::new("version");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tree = version(&release, CHART);
    let same: Vec<_> = charts(&release, folder.path())
        .into_iter()
        .filter(|chart| version(&release, chart) == tree)
        .collect();
    assert!(!same.is_empty(), "the tree's own is of this version");
    let rendered = |chart: &str| helm_prints(&release.plane, &["template", "podseal", chart]);
    let values = |chart: &str| helm_prints(&release.plane, &["show", "values", chart]);
    for chart in same {
        let told = "give Chart.yaml another version: this one is out";
        assert!(rendered(&chart) == rendered(CHART), "{chart}: {told}");
        assert!(values(&chart) == values(CHART), "{chart}: {told}");
    }
}
