//! The figures of docs/measurements.md that need a node. `make e2e-figures` prints them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::fuse_device::DevicePlugin;
use crate::job::Job;
use crate::site::Site;

const ROUNDS: usize = 7;

/// Four layers: a program, 1,000 small files, a large one, and another owner of both.
const BUILD: &str = r#"
mkdir "$HOME/context" && cd "$HOME/context" && cp /bin/busybox .
cat >Containerfile <<'FILE'
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "for d in $(/bin/busybox seq 20); do /bin/busybox mkdir -p /files/$d; for f in $(/bin/busybox seq 50); do echo $f >/files/$d/$f; done; done"]
RUN ["/bin/busybox", "dd", "if=/dev/zero", "of=/large", "bs=1M", "count=32"]
RUN ["/bin/busybox", "chown", "-R", "5:5", "/files", "/large"]
FILE
for round in 1 2 3; do
  start=$(date +%s%N)
  podman build --quiet --no-cache --layers --tag tried . >/dev/null
  echo "milliseconds: $((($(date +%s%N) - start) / 1000000))"
  podman rmi --all --force >/dev/null
done
echo "$(podman info --format '{{.Store.GraphDriverName}} {{.Store.GraphOptions}}')"
"#;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
#[ignore = "it measures and claims nothing; make e2e-figures runs it alone"]
fn seconds_to_the_first_line_of_a_job() {
    let site = Site::alone();
    let namespaces = [
        ("without podseal", site.unlabelled()),
        ("rootless", site.namespace("rootless")),
        ("userns", site.namespace("userns")),
    ];
    let mut seconds = BTreeMap::<_, Vec<f64>>::new();
    for _ in 0..ROUNDS {
        for (name, namespace) in &namespaces {
            let start = Timestamp::try_from(SystemTime::now()).expect("a time");
            let ended = Job::new("podman-stable:trixie")
                .script("echo first")
                .run(namespace);
            let args = ["logs", "--timestamps", "--container", "helper", &ended.name];
            let log = namespace.kubectl(&args);
            let first = log.split_whitespace().next().expect("a line");
            let first: Timestamp = first.parse().expect("a time");
            let taken = (first - start).total(jiff::Unit::Second).expect("seconds");
            seconds.entry(*name).or_default().push(taken);
        }
    }
    for (name, taken) in seconds {
        let (least, most) = (
            taken.iter().copied().fold(f64::MAX, f64::min),
            taken.iter().copied().fold(0.0, f64::max),
        );
        eprintln!(
            "first line, {name}: {:.2} s (median of {ROUNDS}, {least:.2} to {most:.2})",
            median(taken)
        );
    }
}

#[test]
#[ignore = "it measures and claims nothing; make e2e-figures runs it alone"]
fn seconds_of_podman_build_by_profile() {
    let site = Site::alone();
    let _plugin = DevicePlugin::install(&site.node);
    let rows = [
        ("rootless", "rootless", None),
        ("userns", "userns", None),
        ("privileged", "privileged", None),
        ("root", "root", None),
        ("root-fuse", "root-fuse", None),
        ("rootless, vfs", "rootless", Some("vfs")),
    ];
    let mut base = None;
    for (name, profile, driver) in rows {
        let job = Job::new("podman-stable:trixie").script(BUILD);
        let job = match driver {
            Some(driver) => job.variable("STORAGE_DRIVER", driver),
            None => job,
        };
        let ended = job.run(&site.namespace(profile));
        assert!(ended.passed, "{ended}");
        let lines = ended.log.lines();
        let taken = lines.filter_map(|line| line.strip_prefix("milliseconds: "));
        let taken: Vec<f64> = taken.map(|text| text.parse().expect("a number")).collect();
        let taken = median(taken) / 1000.0;
        let base = *base.get_or_insert(taken);
        let store = ended.log.lines().last().unwrap_or_default();
        eprintln!(
            "podman build, {name}: {taken:.2} s, ratio {:.2} ({store})",
            taken / base
        );
    }
}
