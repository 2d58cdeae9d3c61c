//! What becomes of every kind of job with every profile at every level.
//!
//! | cell | meaning |
//! |---|---|
//! | `stored` | the pod is stored, and matches the profile |
//! | `build/runAsUser` | denied: the profile and the job exclude each other in this field of `build` |
//! | `build:EC svc-0:P` | denied: the level forbids these controls in these containers, and nothing else |
//!
//! | letter | control |
//! |---|---|
//! | A | `appArmorProfile` |
//! | C | `capabilities` |
//! | E | `allowPrivilegeEscalation` |
//! | N | `runAsNonRoot` |
//! | P | `privileged` |
//! | S | `seccompProfile` |
//! | U | `runAsUser` |

/// The control of a letter.
pub(crate) const LETTERS: [(&str, char); 7] = [
    ("appArmorProfile", 'A'),
    ("capabilities", 'C'),
    ("allowPrivilegeEscalation", 'E'),
    ("runAsNonRoot", 'N'),
    ("privileged", 'P'),
    ("seccompProfile", 'S'),
    ("runAsUser", 'U'),
];

/// Blocks: the profiles that it is about, then a line for each job, with a cell
/// each for the levels privileged, baseline and restricted.
///
/// A service has to comply by itself, which GitLab Runner's never do at
/// restricted, so only a job without one is stored there. So has a Windows job,
/// which nothing corrects. A suspendable job needs root with SYS_ADMIN, which is
/// beyond the baseline for everybody.
pub(crate) const TABLE: &str = "
rootless rootless-apparmor rootless-seccomp rootless-istio home-in-memory:
  default-with-service    | stored          | stored          | svc-0:CENS
  privileged-nonroot      | stored          | stored          | stored
  privileged-with-service | stored          | docker:P        | docker:CENPS
  root-fuse               | stored          | stored          | pod:N
  legacy-exec             | stored          | stored          | stored
  umask-collector         | stored          | stored          | stored
  honor-entrypoint        | stored          | stored          | stored
  native-steps            | stored          | stored          | stored
  suspendable             | build/runAsUser | build/runAsUser | build/runAsUser
  windows                 | stored          | stored          | build:CENS helper:CENS

rootless-unconfined:
  default-with-service    | stored          | stored          | build:A svc-0:CENS
  privileged-nonroot      | stored          | stored          | build:A
  privileged-with-service | stored          | docker:P        | build:A docker:CENPS
  root-fuse               | stored          | stored          | build:A pod:N
  legacy-exec             | stored          | stored          | build:A
  umask-collector         | stored          | stored          | build:A
  honor-entrypoint        | stored          | stored          | build:A
  native-steps            | stored          | stored          | build:A
  suspendable             | build/runAsUser | build/runAsUser | build/runAsUser
  windows                 | stored          | stored          | build:CENS helper:CENS

buildkit:
  default-with-service    | stored          | stored          | build:AS svc-0:CENS
  privileged-nonroot      | stored          | stored          | build:AS
  privileged-with-service | stored          | docker:P        | build:AS docker:CENPS
  root-fuse               | stored          | stored          | build:AS pod:N
  legacy-exec             | stored          | stored          | build:AS
  umask-collector         | stored          | stored          | build:AS
  honor-entrypoint        | stored          | stored          | build:AS
  native-steps            | stored          | stored          | build:AS
  suspendable             | build/runAsUser | build/runAsUser | build/runAsUser
  windows                 | stored          | stored          | build:CENS helper:CENS

dind-service:
  default-with-service    | stored          | stored          | svc-0:CENS
  privileged-nonroot      | stored          | stored          | stored
  privileged-with-service | stored          | stored          | docker:CENPS
  root-fuse               | stored          | stored          | pod:N
  legacy-exec             | stored          | stored          | stored
  umask-collector         | stored          | stored          | stored
  honor-entrypoint        | stored          | stored          | stored
  native-steps            | stored          | stored          | stored
  suspendable             | build/runAsUser | build/runAsUser | build/runAsUser
  windows                 | stored          | stored          | build:CENS helper:CENS

userns openshift-nested:
  default-with-service    | stored          | stored          | svc-0:CES
  privileged-nonroot      | stored          | stored          | stored
  privileged-with-service | stored          | docker:P        | docker:CEPS
  root-fuse               | stored          | stored          | stored
  legacy-exec             | stored          | stored          | stored
  umask-collector         | stored          | stored          | stored
  honor-entrypoint        | stored          | stored          | stored
  native-steps            | stored          | stored          | stored
  suspendable             | build/runAsUser | build/runAsUser | build/runAsUser
  windows                 | stored          | stored          | build:CENS helper:CENS

openshift:
  default-with-service    | stored          | stored          | build:CE svc-0:CENS
  privileged-nonroot      | stored          | stored          | build:CE
  privileged-with-service | stored          | docker:P        | build:CE docker:CENPS
  root-fuse               | stored          | stored          | build:CE pod:N
  legacy-exec             | stored          | stored          | build:CE
  umask-collector         | stored          | stored          | build:CE
  honor-entrypoint        | stored          | stored          | build:CE
  native-steps            | stored          | stored          | build:CE
  suspendable             | build/runAsUser | build/runAsUser | build/runAsUser
  windows                 | stored          | stored          | build:CENS helper:CENS

privileged:
  default-with-service    | stored          | stored          | build:EP svc-0:CENS
  privileged-nonroot      | stored          | stored          | build:EP
  privileged-with-service | stored          | stored          | build:EP docker:CENPS
  root-fuse               | stored          | stored          | build:EP pod:N
  legacy-exec             | stored          | stored          | build:EP
  umask-collector         | stored          | stored          | build:EP
  honor-entrypoint        | stored          | stored          | build:EP
  native-steps            | stored          | stored          | build:EP
  suspendable             | build/runAsUser | build/runAsUser | build/runAsUser
  windows                 | stored          | stored          | build:CENS helper:CENS

root root-fuse:
  default-with-service    | stored          | stored          | build:CNU helper:N init-permissions:N svc-0:CENS
  privileged-nonroot      | stored          | stored          | build:CNU helper:N init-permissions:N
  privileged-with-service | stored          | docker:P        | build:CNU docker:CENPS helper:N init-permissions:N
  root-fuse               | stored          | stored          | build:CNU helper:N init-permissions:N pod:N
  legacy-exec             | stored          | stored          | build:CNU helper:N
  umask-collector         | stored          | stored          | build:CNU helper:N init-build-uid-gid-collector:NU init-permissions:N
  honor-entrypoint        | stored          | stored          | build:CNU helper:N init-permissions:N
  native-steps            | stored          | stored          | build:CNU init-steps-bootstrap:N
  suspendable             | stored          | build:C         | build/capabilities.add
  windows                 | stored          | stored          | build:CENS helper:CENS

none:
  default-with-service    | stored          | stored          | build:CENS helper:CENS init-permissions:CENS svc-0:CENS
  privileged-nonroot      | stored          | build:P helper:P init-permissions:P | build:CENPS helper:CENPS init-permissions:CENPS
  privileged-with-service | stored          | build:P docker:P helper:P init-permissions:P | build:CENPS docker:CENPS helper:CENPS init-permissions:CENPS
  root-fuse               | stored          | stored          | build:CNSU helper:CNS init-permissions:CNS pod:N
  legacy-exec             | stored          | stored          | build:CENS helper:CENS
  umask-collector         | stored          | stored          | build:CENS helper:CENS init-build-uid-gid-collector:CES init-permissions:CENS
  honor-entrypoint        | stored          | stored          | build:CENS helper:CENS init-permissions:CENS
  native-steps            | stored          | stored          | build:CENS init-steps-bootstrap:CENS
  suspendable             | stored          | build:C         | build:CES helper:CES init-permissions:CES
  windows                 | stored          | stored          | build:CENS helper:CENS
";

/// What a profile sets for `build`, and so for Podman.
pub(crate) struct Gives {
    /// The user.
    pub(crate) uid: i64,
    /// Whether it is privileged.
    pub(crate) privileged: bool,
    /// `allowPrivilegeEscalation`
    pub(crate) escalation: bool,
    /// What is among `capabilities.add`.
    pub(crate) capabilities: &'static [&'static str],
    /// Whether HOME is on a volume.
    pub(crate) home: bool,
    /// Whether the pod has a user namespace of its own.
    pub(crate) own_ids: bool,
    /// The limit, and so the request, of the fuse device.
    pub(crate) device: Option<&'static str>,
    /// More that the pod has: a JSON pointer from `build`, or from the pod where
    /// it begins with `/metadata`.
    pub(crate) more: &'static [(&'static str, &'static str)],
}

const ROOTLESS: Gives = Gives {
    uid: 1000,
    privileged: false,
    escalation: true,
    capabilities: &["SETUID", "SETGID"],
    home: true,
    own_ids: false,
    device: None,
    more: &[],
};

const NESTED: Gives = Gives {
    own_ids: true,
    more: &[("/securityContext/procMount", "Unmasked")],
    ..ROOTLESS
};

/// What `profile` sets; nothing, for `none`.
pub(crate) fn gives(profile: &str) -> Option<Gives> {
    let more = |more| Gives { more, ..ROOTLESS };
    let gives = match profile {
        "none" => return None,
        "rootless" | "rootless-istio" | "dind-service" | "home-in-memory" => more(&[
            ("/env/CONTAINERS_STORAGE_CONF", "/dev/null"),
            ("/env/BUILDAH_ISOLATION", "chroot"),
            ("/env/STORAGE_DRIVER", "overlay"),
            ("/env/STORAGE_OPTS", ""),
        ]),
        "rootless-apparmor" => more(&[
            ("/securityContext/appArmorProfile/type", "Localhost"),
            (
                "/securityContext/appArmorProfile/localhostProfile",
                "podman-build",
            ),
        ]),
        "rootless-unconfined" => more(&[("/securityContext/appArmorProfile/type", "Unconfined")]),
        "buildkit" => more(&[
            ("/securityContext/appArmorProfile/type", "Unconfined"),
            ("/securityContext/seccompProfile/type", "Unconfined"),
            ("/env/BUILDKITD_FLAGS", "--oci-worker-no-process-sandbox"),
        ]),
        "rootless-seccomp" => more(&[
            ("/securityContext/seccompProfile/type", "Localhost"),
            (
                "/securityContext/seccompProfile/localhostProfile",
                "profiles/podman.json",
            ),
        ]),
        "openshift" => more(&[
            ("/securityContext/seLinuxOptions/type", "container_engine_t"),
            (
                "/metadata/annotations/io.kubernetes.cri-o.Devices",
                "/dev/fuse",
            ),
            (
                "/metadata/annotations/openshift.io~1required-scc",
                "podseal-rootless",
            ),
        ]),
        "userns" => NESTED,
        "openshift-nested" => Gives {
            more: &[
                ("/securityContext/procMount", "Unmasked"),
                ("/securityContext/seLinuxOptions/type", "container_engine_t"),
                (
                    "/metadata/annotations/openshift.io~1required-scc",
                    "nested-container",
                ),
            ],
            ..NESTED
        },
        "privileged" => Gives {
            privileged: true,
            capabilities: &[],
            ..ROOTLESS
        },
        "root" => Gives {
            uid: 0,
            escalation: false,
            capabilities: &["SETUID", "SETGID", "SETFCAP", "SYS_CHROOT"],
            home: false,
            ..ROOTLESS
        },
        "root-fuse" => Gives {
            device: Some("github.com/fuse"),
            more: &[(
                "/env/STORAGE_OPTS",
                "overlay.mount_program=/usr/bin/fuse-overlayfs",
            )],
            ..gives("root")?
        },
        other => panic!("the table has no profile {other}"),
    };
    Some(gives)
}
