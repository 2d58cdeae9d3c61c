//! Reviews that are made to cost more than they should.

/// A review of a pod, as text: what an attacker sends need not be what a JSON
/// library would write.
pub fn review(operation: &str, pod: &str, old: Option<&str>) -> String {
    let old = old.unwrap_or("null");
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u-1","kind":{{"group":"","version":"v1","kind":"Pod"}},"namespace":"ci","operation":"{operation}","userInfo":{{"username":"a"}},"object":{pod},"oldObject":{old}}}}}"#
    )
}

/// How many kinds of pieces there are.
pub const PIECES: usize = 28;

/// Where in a pod a piece is.
enum At {
    Metadata,
    Spec,
    /// A field of the container called build.
    Container,
    /// A field of the pod's `securityContext`.
    Context,
    /// More containers, in this list.
    Containers(&'static str),
}

fn list(element: impl Fn(usize) -> String, count: usize) -> String {
    let elements: Vec<_> = (0..count).map(element).collect();
    format!("[{}]", elements.join(","))
}

fn same(element: &str, count: usize) -> String {
    list(|_| element.to_owned(), count)
}

/// A piece of this kind, of `count` entries with texts of `length` bytes.
fn piece(kind: usize, count: usize, length: usize) -> (At, String) {
    let text = "x".repeat(length);
    let escaped = format!(r"\n{}", "y".repeat(length));
    let container = At::Container;
    let apparmor = "container.apparmor.security.beta.kubernetes.io";
    match kind {
        0 => (container, format!(r#""name":"{}""#, "n".repeat(count * 60))),
        1 => (
            container,
            format!(r#""name":"\u0062{}""#, "n".repeat(count * 60)),
        ),
        2 => {
            let add = list(|n| format!(r#""{n}{text}""#), count);
            (
                container,
                format!(r#""securityContext":{{"capabilities":{{"add":{add}}}}}"#),
            )
        }
        3 => {
            let drop = list(|n| format!(r#""{n}{escaped}""#), count);
            let all = format!(r#"{{"drop":{drop},"add":["SETUID"]}}"#);
            (
                container,
                format!(r#""securityContext":{{"capabilities":{all}}}"#),
            )
        }
        4 => {
            let drop = format!(
                r#"["SETUID",{}]"#,
                same(r#""""#, count + 1).trim_matches(['[', ']'])
            );
            (
                container,
                format!(r#""securityContext":{{"capabilities":{{"drop":{drop}}}}}"#),
            )
        }
        5 => {
            let env = list(
                |n| format!(r#"{{"name":"V{n}","value":"{escaped}"}}"#),
                count,
            );
            (container, format!(r#""env":{env}"#))
        }
        6 => (container, format!(r#""env":{}"#, same("{}", count))),
        7 => (container, format!(r#""env":{}"#, same("null", count))),
        8 => {
            let mounts = list(
                |n| format!(r#"{{"name":"v{n}","mountPath":"/a/{n}/{text}"}}"#),
                count,
            );
            (container, format!(r#""volumeMounts":{mounts}"#))
        }
        9 => {
            let path = "/a".repeat(count * 20);
            (
                container,
                format!(r#""volumeMounts":[{{"name":"v","mountPath":"{path}"}}]"#),
            )
        }
        10 => (
            container,
            format!(
                r#""ports":{}"#,
                list(|n| format!(r#"{{"hostPort":{n}}}"#), count)
            ),
        ),
        11 => (
            container,
            format!(r#""image":"{}""#, r"\u0001".repeat(count * 10)),
        ),
        12 => (At::Spec, format!(r#""volumes":{}"#, same("{}", count))),
        13 => {
            let volumes = list(
                |n| format!(r#"{{"name":"{n}","hostPath":{{"path":"{escaped}"}}}}"#),
                count,
            );
            (At::Spec, format!(r#""volumes":{volumes}"#))
        }
        14 => {
            let sources: Vec<_> = (0..60).map(|n| format!(r#""s{n}":{{}}"#)).collect();
            let volume = format!("{{{}}}", sources.join(","));
            (
                At::Spec,
                format!(r#""volumes":{}"#, same(&volume, count.div_ceil(10))),
            )
        }
        15 => {
            let sysctls = list(|n| format!(r#"{{"name":"{n}{text}"}}"#), count);
            (At::Context, format!(r#""sysctls":{sysctls}"#))
        }
        16 => {
            let level = escaped.repeat(count.min(500));
            (
                At::Context,
                format!(r#""seLinuxOptions":{{"level":"{level}"}}"#),
            )
        }
        17 => {
            let local = escaped.repeat(count.min(500));
            let profile = format!(r#"{{"type":"Localhost","localhostProfile":"{local}"}}"#);
            (
                At::Context,
                format!(r#""seccompProfile":{profile},"appArmorProfile":{profile}"#),
            )
        }
        18 => (
            At::Context,
            format!(r#""supplementalGroups":{}"#, same("7", count)),
        ),
        19 => {
            let entries: Vec<_> = (0..count)
                .map(|n| format!(r#""{apparmor}/init-{n}":"unconfined""#))
                .collect();
            (
                At::Metadata,
                format!(r#""annotations":{{{}}}"#, entries.join(",")),
            )
        }
        20 => {
            let entries: Vec<_> = (0..count).map(|_| r#""":"""#).collect();
            (
                At::Metadata,
                format!(r#""annotations":{{{}}}"#, entries.join(",")),
            )
        }
        21 => (
            At::Containers("initContainers"),
            list(|n| format!(r#"{{"name":"init-{n}"}}"#), count),
        ),
        22 => (
            At::Containers("ephemeralContainers"),
            list(|n| format!(r#"{{"name":"e-{n}"}}"#), count),
        ),
        23 => (At::Containers("initContainers"), same("{}", count)),
        // What is of another type than it has to be is quoted by the parser.
        24 => (
            At::Spec,
            format!(r#""hostPID":"{}""#, r"\u0001".repeat(count * 20)),
        ),
        25 => (
            container,
            format!(r#""securityContext":"{}""#, "\u{200b}".repeat(count * 20)),
        ),
        26 => {
            let deep = count * 20;
            (
                At::Spec,
                format!(r#""unknown":{}{}"#, "[".repeat(deep), "]".repeat(deep)),
            )
        }
        _ => {
            let limits: Vec<_> = (0..count).map(|n| format!(r#""{n}":1e308"#)).collect();
            (
                container,
                format!(r#""resources":{{"limits":{{{}}}}}"#, limits.join(",")),
            )
        }
    }
}

/// A pod of these pieces: kind, entries, and length of texts. Of two pieces that
/// would be the same field the first stays.
pub fn pod(pieces: &[(usize, usize, usize)], is_job: bool) -> String {
    let mut metadata = Vec::new();
    if is_job {
        metadata.push(r#""labels":{"job.runner.gitlab.com/pod":"x"}"#.to_owned());
    }
    let (mut spec, mut container, mut context) = (Vec::new(), Vec::new(), Vec::new());
    let mut fields = std::collections::HashSet::new();
    for (kind, count, length) in pieces {
        let (at, text) = piece(*kind, *count, *length);
        let field = match at {
            At::Containers(list) => list.to_owned(),
            _ => text.split(':').next().expect("a field").to_owned(),
        };
        if !fields.insert(field) {
            continue;
        }
        match at {
            At::Metadata => metadata.push(text),
            At::Spec => spec.push(text),
            At::Container => container.push(text),
            At::Context => context.push(text),
            At::Containers(list) => spec.push(format!(r#""{list}":{text}"#)),
        }
    }
    if !container.iter().any(|field| field.starts_with(r#""name""#)) {
        container.push(r#""name":"build""#.to_owned());
    }
    spec.push(format!(
        r#""containers":[{{{}}},{{"name":"helper"}}],"securityContext":{{{}}}"#,
        container.join(","),
        context.join(",")
    ));
    format!(
        r#"{{"metadata":{{{}}},"spec":{{{}}}}}"#,
        metadata.join(","),
        spec.join(",")
    )
}

/// Every attack that is known, with its name, each of a size that grows with
/// `scale`: a hundred bytes and more for each.
pub fn attacks(scale: usize) -> Vec<(String, String)> {
    let mut attacks = Vec::new();
    for kind in 0..PIECES {
        for length in [0, 40] {
            let count = 20 * scale;
            let attacked = pod(&[(kind, count, length)], true);
            let name = format!("piece {kind}, {count} times, texts of {length}");
            attacks.push((
                format!("{name}, created"),
                review("CREATE", &attacked, None),
            ));
            let update = review("UPDATE", &pod(&[], true), Some(&attacked));
            attacks.push((format!("{name}, old"), update));
        }
    }
    // The one that killed a replica: the name is in every violation.
    let named = [(0, scale, 0), (2, 20 * scale, 0)];
    let update = review("UPDATE", &pod(&[], false), Some(&pod(&named, false)));
    attacks.push(("a name in each violation".to_owned(), update));
    // As many lookups by name as there are pairs.
    let pairs = [(21, 250, 0), (19, scale, 0), (12, scale, 0), (8, scale, 10)];
    attacks.push((
        "annotations by containers".to_owned(),
        review("CREATE", &pod(&pairs, true), None),
    ));
    let inherited = [(21, 250, 0), (16, scale, 10), (17, scale, 10)];
    attacks.push((
        "texts by containers".to_owned(),
        review("CREATE", &pod(&inherited, true), None),
    ));
    let both = [
        (2, 20 * scale, 0),
        (13, scale, 10),
        (15, scale, 10),
        (10, scale, 0),
    ];
    let both = pod(&both, false);
    attacks.push((
        "an update of much".to_owned(),
        review("UPDATE", &both, Some(&both)),
    ));
    // As many comparisons as there are containers of one name, each with all that
    // the old one violated.
    let container = |add: String| {
        format!(r#"{{"name":"a","securityContext":{{"capabilities":{{"add":{add}}}}}}}"#)
    };
    let one = container(list(|n| format!(r#""{n}""#), 10 * scale));
    let many = list(|_| container(r#"["X"]"#.to_owned()), scale.min(1000));
    let of = |containers: &str| format!(r#"{{"spec":{{"containers":{containers}}}}}"#);
    attacks.push((
        "containers of one name".to_owned(),
        review("UPDATE", &of(&many), Some(&of(&format!("[{one}]")))),
    ));
    // As much as a container has without a text, in both pods and all lists.
    let full = r#"{"livenessProbe":{"httpGet":{},"tcpSocket":{}},"readinessProbe":{"httpGet":{},"tcpSocket":{}},"startupProbe":{"httpGet":{},"tcpSocket":{}},"lifecycle":{"postStart":{"httpGet":{}},"preStop":{"httpGet":{}}},"env":[null],"ports":[null],"volumeMounts":[null],"volumeDevices":[null],"securityContext":{"capabilities":{"add":[""],"drop":[""]},"sysctls":[null],"supplementalGroups":[1]}}"#;
    for element in [full, "null"] {
        let third = same(element, (20 * scale).min(1023) / 3);
        let pod = format!(
            r#"{{"spec":{{"initContainers":{third},"containers":{third},"ephemeralContainers":{third}}}}}"#
        );
        attacks.push((
            format!("containers {element}"),
            review("UPDATE", &pod, Some(&pod)),
        ));
    }
    let kind = "k".repeat(100 * scale);
    attacks.push((
        "no review".to_owned(),
        format!(r#"{{"kind":"{kind}","apiVersion":"{kind}"}}"#),
    ));
    attacks.push(("a text".to_owned(), format!(r#""{kind}""#)));
    attacks.push((
        "a list".to_owned(),
        format!("{}{}", "[".repeat(100 * scale), "]".repeat(100 * scale)),
    ));
    attacks
}
