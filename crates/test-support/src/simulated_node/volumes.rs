//! The volumes of a pod, kept as a kubelet keeps them: a change of a Secret is a
//! new folder, to which the link `..data` is swapped in one step.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::api::{Api, Trouble, name};

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

type Files = BTreeMap<String, Vec<u8>>;

/// The volumes of one pod.
pub(super) struct Volumes {
    all: Vec<Volume>,
    /// Where the container sees them.
    pub(super) mounts: Vec<(PathBuf, String)>,
}

struct Volume {
    source: Value,
    folder: PathBuf,
    files: Files,
}

impl Volumes {
    /// Those of `pod`, in `folder`; nothing yet where a Secret of it is missing.
    pub(super) fn of(api: &Api, pod: &Value, folder: &Path) -> Result<Option<Volumes>, Trouble> {
        let mut volumes = Volumes {
            all: Vec::new(),
            mounts: Vec::new(),
        };
        let container = &pod["spec"]["containers"][0];
        let mounts = container["volumeMounts"].as_array();
        for mount in mounts.into_iter().flatten() {
            let named = pod["spec"]["volumes"].as_array();
            let source = named
                .into_iter()
                .flatten()
                .find(|volume| volume["name"] == mount["name"])
                .expect("the API server has checked that it is there");
            let Some(files) = files(api, source)? else {
                return Ok(None);
            };
            let folder = folder.join(format!("volume-{}", volumes.all.len()));
            let path = mount["mountPath"].as_str().expect("a path");
            volumes.mounts.push((folder.clone(), path.to_owned()));
            project(&folder, None, &files);
            if !source["emptyDir"].is_null() {
                // For the container's user.
                let writable = std::os::unix::fs::PermissionsExt::from_mode(0o777);
                std::fs::set_permissions(&folder, writable).expect("the folder is there");
            }
            volumes.all.push(Volume {
                source: source.clone(),
                folder,
                files,
            });
        }
        if pod["spec"]["automountServiceAccountToken"] != false {
            let Some(files) = service_account(api, pod)? else {
                return Ok(None);
            };
            let folder = folder.join("service-account");
            project(&folder, None, &files);
            volumes.mounts.push((folder, SERVICE_ACCOUNT.to_owned()));
        }
        Ok(Some(volumes))
    }

    /// Updates them from their Secrets. A volume whose Secret is gone stays as
    /// it was.
    pub(super) fn refresh(&mut self, api: &Api) -> Result<(), Trouble> {
        for volume in &mut self.all {
            if let Some(files) = files(api, &volume.source)?
                && files != volume.files
            {
                project(&volume.folder, Some(&volume.files), &files);
                volume.files = files;
            }
        }
        Ok(())
    }
}

/// The files that a volume's source has.
fn files(api: &Api, source: &Value) -> Result<Option<Files>, Trouble> {
    if !source["emptyDir"].is_null() {
        return Ok(Some(Files::new()));
    }
    let (kind, reference, field) = match (&source["secret"], &source["configMap"]) {
        (Value::Object(_), _) => ("secrets", &source["secret"], "secretName"),
        (_, Value::Object(_)) => ("configmaps", &source["configMap"], "name"),
        _ => return Err(Trouble::Wrong(format!("no volume for this node: {source}"))),
    };
    let object = reference[field].as_str().expect("the API server wants one");
    let Some(object) = api.get("/api/v1", &format!("{kind}/{object}"))? else {
        return Ok(match reference["optional"] == true {
            true => Some(Files::new()),
            false => None,
        });
    };
    let mut all = Files::new();
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        let value = value.as_str().expect("values are text");
        let bytes = match kind {
            "secrets" => STANDARD.decode(value).expect("the API server has read it"),
            _ => value.as_bytes().to_vec(),
        };
        all.insert(key.clone(), bytes);
    }
    let Some(items) = reference["items"].as_array() else {
        return Ok(Some(all));
    };
    let pick = |item: &Value| {
        let path = item["path"].as_str().expect("a path").to_owned();
        Some((path, all.get(item["key"].as_str()?)?.clone()))
    };
    // A missing key delays the pod, as a missing Secret does.
    Ok(items.iter().map(pick).collect())
}

/// A token for exactly this pod, which ends with it.
fn service_account(api: &Api, pod: &Value) -> Result<Option<Files>, Trouble> {
    let account = pod["spec"]["serviceAccountName"].as_str();
    let token = format!("serviceaccounts/{}/token", account.unwrap_or("default"));
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "expirationSeconds": 3600,
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": name(pod),
                "uid": pod["metadata"]["uid"],
            },
        },
    });
    let Some(answer) = api.post("/api/v1", &token, &request)? else {
        return Ok(None);
    };
    let token = answer["status"]["token"].as_str().expect("a token");
    let files = [
        ("token", token),
        ("ca.crt", api.authority.as_str()),
        ("namespace", api.namespace.as_str()),
    ];
    let owned = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    Ok(Some(Files::from(owned)))
}

/// Writes files as a kubelet does.
fn project(folder: &Path, before: Option<&Files>, files: &Files) {
    let written: std::io::Result<()> = (|| {
        let data = folder.join("..data");
        let old = std::fs::read_link(&data).ok();
        std::fs::create_dir_all(folder)?;
        let new = tempfile::Builder::new()
            .prefix("..")
            .tempdir_in(folder)?
            .keep();
        // For the container's user, who is not this one.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&new, readable)?;
        for (name, bytes) in files {
            std::fs::write(new.join(name), bytes)?;
        }
        let link = folder.join("..data_tmp");
        symlink(new.file_name().expect("it has a name"), &link)?;
        std::fs::rename(&link, &data)?;
        for name in files
            .keys()
            .filter(|name| before.is_none_or(|all| !all.contains_key(*name)))
        {
            symlink(Path::new("..data").join(name), folder.join(name))?;
        }
        for name in before.into_iter().flat_map(|all| all.keys()) {
            if !files.contains_key(name) {
                std::fs::remove_file(folder.join(name))?;
            }
        }
        match old {
            Some(old) => std::fs::remove_dir_all(folder.join(old)),
            None => Ok(()),
        }
    })();
    written.expect("the volume can be written");
}
