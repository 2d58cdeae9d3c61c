//! Reads the files of `podseal review`.
//!
//! Each pod or review is kept as JSON text, so that it takes the same path as a
//! request to the webhook.

use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use admission::request::{API_VERSION, NO_UID};

/// One thing to review.
#[derive(Debug)]
pub enum Item {
    /// An `AdmissionReview`.
    Review(Box<RawValue>),
    /// A pod, as if it were created.
    Pod(Box<RawValue>),
}

impl Item {
    /// Whether it is a pod, not a review.
    pub fn is_pod(&self) -> bool {
        matches!(self, Item::Pod(_))
    }

    /// The item as an `AdmissionReview`. A pod becomes the review of `operation` on
    /// it, in `namespace` or else its own.
    pub fn review(&self, operation: &str, namespace: Option<&str>) -> Result<String, FieldError> {
        let pod = match self {
            Item::Review(review) => return Ok(review.get().to_owned()),
            Item::Pod(pod) => pod,
        };
        #[derive(Default, Deserialize)]
        struct Metadata {
            namespace: Option<String>,
        }
        #[derive(Deserialize)]
        struct Head {
            #[serde(default)]
            metadata: Option<Metadata>,
        }
        let head: Head = typed(pod.get())?;
        let own = head.metadata.and_then(|metadata| metadata.namespace);
        let own = own.filter(|name| !name.is_empty());
        let review = serde_json::json!({
            "apiVersion": API_VERSION,
            "kind": "AdmissionReview",
            "request": {
                "uid": NO_UID,
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "namespace": namespace.or(own.as_deref()).unwrap_or("default"),
                "operation": operation,
            },
        });
        // Inserts the pod as written: a repeated field is an error in the webhook,
        // and must be one here.
        let mut review = review.to_string();
        let end = review.rfind("}}").expect("the request ends the review");
        review.insert_str(end, &format!(",\"object\":{}", pod.get()));
        Ok(review)
    }
}

/// Why an input cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It could not be read.
    #[error("cannot read the file: {0}")]
    Read(#[from] std::io::Error),
    /// Neither JSON nor YAML.
    #[error("not YAML: {0}")]
    Yaml(#[from] serde_saphyr::Error),
    /// It begins as JSON, but is not.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A field has another type than Kubernetes' API gives it.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A document of another kind.
    #[error(
        "document {index} is a {kind:?}; podseal reviews a Pod, an AdmissionReview, or a List of pods"
    )]
    Kind {
        /// Which document, counted from 1.
        index: usize,
        /// Its `kind`.
        kind: String,
    },
    /// It has no document.
    #[error("the file contains no pod")]
    Empty,
    /// A folder without files to read.
    #[error("the folder contains no .json, .yaml or .yml file{}", hint(.recursive))]
    EmptyFolder {
        /// Whether its folders were read.
        recursive: bool,
    },
    /// A folder that could not be read.
    #[error("cannot read the folder: {0}")]
    Folder(io::Error),
}

fn hint(recursive: &bool) -> &'static str {
    match recursive {
        true => ", and neither do the folders in it",
        false => "; use -R to read the folders in it",
    }
}

/// A field of another type than Kubernetes' API gives it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FieldError(String);

/// `json` as a `T`. An error names the field and no line: the JSON may be what
/// podseal made of a YAML file, or an item of a list.
pub fn typed<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, FieldError> {
    serde_json::from_str(json).map_err(|error| {
        let at = format!(" at line {} column {}", error.line(), error.column());
        let error = error.to_string();
        let problem = error.strip_suffix(&at).unwrap_or(&error);
        let mut again = serde_json::Deserializer::from_str(json);
        let located: Result<T, _> = serde_path_to_error::deserialize(&mut again);
        let field = located.err().map(|error| error.path().to_string());
        // `.` is the whole document.
        FieldError(match field.filter(|field| field != ".") {
            Some(field) => format!("{field}: {problem}"),
            None => problem.to_owned(),
        })
    })
}

/// The files that `argument` names: itself, or those of a folder as `kubectl -f` takes
/// them, in the order of their names; with `recursive` also those of its folders.
pub fn files(argument: &str, recursive: bool) -> Result<Vec<String>, InputError> {
    if argument == "-" || !Path::new(argument).is_dir() {
        return Ok(vec![argument.to_owned()]);
    }
    let mut files = Vec::new();
    add_files(Path::new(argument), recursive, &mut files).map_err(InputError::Folder)?;
    match files.is_empty() {
        true => Err(InputError::EmptyFolder { recursive }),
        false => Ok(files),
    }
}

fn add_files(folder: &Path, recursive: bool, files: &mut Vec<String>) -> io::Result<()> {
    let entries: io::Result<Vec<_>> = std::fs::read_dir(folder)?.collect();
    let mut entries = entries?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // A link to a folder is not followed: it may lead around in a circle.
        if entry.file_type()?.is_dir() {
            if recursive {
                add_files(&path, recursive, files)?;
            }
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("json" | "yaml" | "yml")) && !path.is_dir() {
            // Other names cannot be opened by their text, and are reported so.
            files.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// Reads `file`, or standard input for `-`.
pub fn read(file: &str) -> Result<String, InputError> {
    if file == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    Ok(std::fs::read_to_string(file)?)
}

/// The things to review in `text`: JSON or YAML, one or more documents.
pub fn parse(text: &str) -> Result<Vec<Item>, InputError> {
    let mut items = Vec::new();
    let documents = documents(text)?;
    if documents.is_empty() {
        return Err(InputError::Empty);
    }
    for (index, document) in documents.into_iter().enumerate() {
        collect(document, index + 1, &mut items)?;
    }
    Ok(items)
}

fn documents(text: &str) -> Result<Vec<Box<RawValue>>, InputError> {
    if text.trim_start().starts_with('{') {
        let documents = serde_json::Deserializer::from_str(text).into_iter();
        let documents: Result<_, _> = documents.collect();
        // What begins like JSON may be YAML in flow style.
        return documents.or_else(|error| yaml_documents(text).map_err(|_| error.into()));
    }
    yaml_documents(text)
}

fn yaml_documents(text: &str) -> Result<Vec<Box<RawValue>>, InputError> {
    // No budget: users read their own files, and a list of all pods of a cluster is
    // large. Numbers are read as by kubectl: 0644 is octal. Errors quote no line of
    // the file: a pod's variables may be secrets, and people share the output.
    let options = serde_saphyr::options! {
        budget: None,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple_with_options(text, options)?;
    let documents = documents.iter().filter(|document| !document.is_null());
    Ok(documents
        .map(serde_json::value::to_raw_value)
        .collect::<Result<_, _>>()?)
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default)]
    kind: String,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

fn collect(document: Box<RawValue>, index: usize, into: &mut Vec<Item>) -> Result<(), InputError> {
    let head: Head<'_> = typed(document.get())?;
    let unknown = |kind: &str| InputError::Kind {
        index,
        kind: kind.to_owned(),
    };
    match head.kind.as_str() {
        "AdmissionReview" => into.push(Item::Review(document)),
        "Pod" => into.push(Item::Pod(document)),
        // Kubernetes' lists do not nest.
        "List" => {
            for item in head.items.unwrap_or_default() {
                let kind = typed::<Head<'_>>(item.get())?.kind;
                match kind.as_str() {
                    "AdmissionReview" => into.push(Item::Review(item.to_owned())),
                    "Pod" => into.push(Item::Pod(item.to_owned())),
                    kind => return Err(unknown(kind)),
                }
            }
        }
        "PodList" => {
            for item in head.items.unwrap_or_default() {
                into.push(Item::Pod(pod_of_a_typed_list(item)?));
            }
        }
        kind => return Err(unknown(kind)),
    }
    Ok(())
}

/// Adds `kind`, which items of a typed list do not have and kubectl requires.
fn pod_of_a_typed_list(item: &RawValue) -> Result<Box<RawValue>, InputError> {
    let head: Head<'_> = typed(item.get())?;
    let inner = item.get().trim_start_matches('{').trim_start();
    if !head.kind.is_empty() {
        return Ok(item.to_owned());
    }
    let comma = if inner.starts_with('}') { "" } else { "," };
    Ok(RawValue::from_string(format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\"{comma}{inner}"
    ))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        parse(text).expect(text).len()
    }

    #[test]
    fn takes_pods_lists_and_reviews_in_json_and_yaml() {
        assert_eq!(count(r#"{"kind":"Pod"}"#), 1);
        assert_eq!(
            count("{\"kind\":\"Pod\"}\n{\"kind\":\"AdmissionReview\"}\n"),
            2
        );
        assert_eq!(
            count(r#"{"kind":"List","items":[{"kind":"Pod"},{"kind":"Pod"}]}"#),
            2
        );
        assert_eq!(count(r#"{"kind":"PodList","items":[{},{"spec":{}}]}"#), 2);
        assert_eq!(count(r#"{"kind":"List","items":[]}"#), 0);
        assert_eq!(count(r#"{"kind":"List","items":null}"#), 0);
        assert_eq!(count("{kind: Pod}"), 1);
        assert_eq!(count("{\"kind\":\"Pod\"}\n---\n{\"kind\":\"Pod\"}\n"), 2);
        assert_eq!(count("kind: Pod\n---\nkind: Pod\n---\n"), 2);
        assert_eq!(count("# a comment\nkind: List\nitems:\n- kind: Pod\n"), 1);
    }

    #[test]
    fn says_what_it_cannot_use() {
        let error = |text| parse(text).expect_err("refused").to_string();
        assert!(
            error("kind: Pod\n---\nkind: Deployment\n").contains("document 2 is a \"Deployment\"")
        );
        assert!(error("").contains("no pod"));
        let nested = r#"{"kind":"List","items":[{"kind":"List","items":[]}]}"#;
        assert!(error(nested).contains("\"List\""));
        assert!(error("{\"kind\":").contains("not JSON"));
        assert!(error("a: [").contains("not YAML"));
    }
}
