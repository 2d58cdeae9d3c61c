//! Profiles that change while jobs are created, behind a real API server.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use support::controlplane::await_condition;

use crate::own_profiles::{CLUSTER, without_namespace};

const NAME: &str = "changing";

/// Puts the profile in place as a whole, as a rename does.
fn write(text: &str) {
    let folder = CLUSTER.folder.path();
    let new = folder.join("changing.new");
    std::fs::write(&new, text).expect("the file can be written");
    std::fs::rename(new, folder.join("changing.yaml")).expect("the file can be renamed");
}

fn profile(user: i64) -> String {
    format!(
        "name: {NAME}\nsummary: ours\nextends: rootless\n\
         containers: {{build: {{set: {{securityContext: {{runAsUser: {user}}}}}}}}}\n"
    )
}

/// The user that `build` of a new job gets, or why there is none.
fn user(namespace: &str) -> Result<i64, String> {
    let pod = without_namespace(cases::fixture("default-with-service"));
    let (code, answer) = CLUSTER.plane.try_pod(namespace, &pod);
    let containers = answer["spec"]["containers"].as_array();
    let build = containers.and_then(|all| all.iter().find(|one| one["name"] == "build"));
    let user = build.and_then(|build| build["securityContext"]["runAsUser"].as_i64());
    user.filter(|_| code == 201)
        .ok_or_else(|| format!("{code}: {}", answer["message"].as_str().unwrap_or_default()))
}

#[test]
fn profiles_that_change_under_load_fail_no_job_and_each_job_gets_one_of_them() {
    const FIRST: i64 = 2000;
    const CHANGES: i64 = 20;
    write(&profile(FIRST));
    let namespace = CLUSTER.namespace(Some(NAME), "privileged");
    let decides = |id: i64| {
        let is_so = || user(&namespace) == Ok(id);
        await_condition("the profile decides", is_so, || {
            format!("{id}: {:?}", user(&namespace))
        });
    };
    decides(FIRST);
    let (stop, newest) = (AtomicBool::new(false), AtomicI64::new(FIRST));
    let jobs = std::thread::scope(|scope| {
        let load = || {
            let mut jobs = 0;
            let mut last = FIRST;
            while !stop.load(Ordering::SeqCst) {
                let user = user(&namespace).expect("every job is corrected");
                let newest = newest.load(Ordering::SeqCst);
                assert!((last..=newest).contains(&user), "{last} {user} {newest}");
                last = user;
                jobs += 1;
            }
            jobs
        };
        let threads = [scope.spawn(load), scope.spawn(load)];
        for id in FIRST + 1..FIRST + CHANGES {
            newest.store(id, Ordering::SeqCst);
            write(&profile(id));
            decides(id);
        }
        // A broken one, and then none at all: the last good set decides on.
        write("name: changing\nsummary: ours\nextends: rootles\n");
        let failing = "podseal_profiles_reload_failing";
        CLUSTER.podseal.await_metric(failing, 1.0);
        assert_eq!(user(&namespace), Ok(FIRST + CHANGES - 1));
        newest.store(FIRST + CHANGES, Ordering::SeqCst);
        write(&profile(FIRST + CHANGES));
        decides(FIRST + CHANGES);
        let is_well = || CLUSTER.podseal.metric(failing) == Some(0.0);
        await_condition("the metric falls", is_well, String::new);
        stop.store(true, Ordering::SeqCst);
        let jobs = threads.map(|thread| thread.join().expect("no job fails"));
        jobs.into_iter().sum::<i32>()
    });
    println!("{jobs} jobs, {CHANGES} changes");
    assert!(i64::from(jobs) > CHANGES, "{jobs} jobs");
    // Removing a profile denies its jobs, and is logged.
    let folder = CLUSTER.folder.path();
    std::fs::remove_file(folder.join("changing.yaml")).expect("the file is there");
    let is_told = || {
        user(&namespace).is_err_and(|why: String| why.contains("podseal.io/profile: \"changing\""))
    };
    await_condition("jobs are denied since there is no profile", is_told, || {
        format!("{:?}", user(&namespace))
    });
}
