//! Reads the files of `podseal review`.
//!
//! Each pod or review is kept as JSON text, so that it takes the same path as a
//! request to the webhook.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use admission::request::{API_VERSION, NO_UID};

/// The largest file. A list of all pods of the largest clusters is larger: `kubectl get` takes
/// one namespace, too.
const LARGEST: u64 = 1 << 30;

/// What an argument names.
#[derive(Debug, Default)]
pub struct Files {
    /// The files to read.
    pub files: Vec<String>,
    /// Those of a folder that are none, such as pipes and devices: reading one may never end.
    pub irregular: Vec<String>,
}

/// What a file contains.
#[derive(Debug, Default)]
pub struct Content {
    /// What to review.
    pub items: Vec<Item>,
    /// Objects of other kinds.
    pub others: Vec<Other>,
}

/// An object of another kind.
#[derive(Debug)]
pub struct Other {
    /// In which document, counted from 1.
    pub index: usize,
    /// Its `kind`, empty if it has none.
    pub kind: String,
}

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
    /// It is larger than any that podseal reads.
    #[error("the file is larger than {} MiB; split it", .0 >> 20)]
    TooLarge(u64),
    /// An object of another kind.
    #[error("{0}; podseal reviews a Pod, an AdmissionReview, or a List of pods")]
    Kind(Other),
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

impl fmt::Display for Other {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.kind {
            "" => write!(formatter, "document {} has no kind", self.index),
            kind => write!(formatter, "document {} is a {kind:?}", self.index),
        }
    }
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
pub fn files(argument: &str, recursive: bool) -> Result<Files, InputError> {
    let mut files = Files::default();
    if !is_folder(argument) {
        files.files.push(argument.to_owned());
        return Ok(files);
    }
    add_files(Path::new(argument), recursive, &mut files).map_err(InputError::Folder)?;
    match files.files.is_empty() {
        true => Err(InputError::EmptyFolder { recursive }),
        false => Ok(files),
    }
}

/// Whether `argument` names a folder.
pub fn is_folder(argument: &str) -> bool {
    argument != "-" && Path::new(argument).is_dir()
}

fn add_files(folder: &Path, recursive: bool, files: &mut Files) -> io::Result<()> {
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
        if !matches!(extension, Some("json" | "yaml" | "yml")) || path.is_dir() {
            continue;
        }
        // Other names cannot be opened by their text, and are reported so.
        let name = path.to_string_lossy().into_owned();
        match path.metadata() {
            Ok(metadata) if !metadata.is_file() => files.irregular.push(name),
            // A link that leads nowhere is reported when it is read.
            _ => files.files.push(name),
        }
    }
    Ok(())
}

/// Reads `file`, or standard input for `-`.
pub fn read(file: &str) -> Result<String, InputError> {
    match file {
        "-" => read_at_most(io::stdin().lock(), LARGEST),
        file => read_at_most(File::open(file)?, LARGEST),
    }
}

fn read_at_most(reader: impl Read, most: u64) -> Result<String, InputError> {
    let mut text = String::new();
    let length = reader.take(most + 1).read_to_string(&mut text)?;
    match length as u64 > most {
        true => Err(InputError::TooLarge(most)),
        false => Ok(text),
    }
}

/// What is in `text`: JSON or YAML, one or more documents.
pub fn parse(text: &str) -> Result<Content, InputError> {
    let mut content = Content::default();
    let documents = documents(text)?;
    if documents.is_empty() {
        return Err(InputError::Empty);
    }
    for (index, document) in documents.into_iter().enumerate() {
        content.add(document, index + 1)?;
    }
    Ok(content)
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

impl Content {
    fn add(&mut self, document: Box<RawValue>, index: usize) -> Result<(), InputError> {
        let head: Head<'_> = typed(document.get())?;
        match head.kind.as_str() {
            // Kubernetes' lists do not nest.
            "List" => {
                for item in head.items.unwrap_or_default() {
                    let kind = typed::<Head<'_>>(item.get())?.kind;
                    self.add_object(kind, item.to_owned(), index);
                }
            }
            "PodList" => {
                for item in head.items.unwrap_or_default() {
                    self.items.push(Item::Pod(pod_of_a_typed_list(item)?));
                }
            }
            _ => self.add_object(head.kind, document, index),
        }
        Ok(())
    }

    fn add_object(&mut self, kind: String, object: Box<RawValue>, index: usize) {
        match kind.as_str() {
            "AdmissionReview" => self.items.push(Item::Review(object)),
            "Pod" => self.items.push(Item::Pod(object)),
            _ => self.others.push(Other { index, kind }),
        }
    }
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
        let content = parse(text).expect(text);
        assert!(content.others.is_empty(), "{text}");
        content.items.len()
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
    fn objects_of_other_kinds_are_told_apart() {
        let content = |text| parse(text).expect("read");
        let others = |text| -> Vec<_> {
            let others = content(text).others.into_iter();
            others.map(|other| other.to_string()).collect()
        };
        let mixed = "kind: ConfigMap\n---\nkind: Pod\n---\n{a: 1}\n";
        assert_eq!(content(mixed).items.len(), 1);
        let both = ["document 1 is a \"ConfigMap\"", "document 3 has no kind"];
        assert_eq!(others(mixed), both);
        let list = r#"{"kind":"List","items":[{"kind":"List","items":[]},{"kind":"Pod"}]}"#;
        assert_eq!(others(list), ["document 1 is a \"List\""]);
        assert_eq!(content(list).items.len(), 1);
    }

    #[test]
    fn says_what_it_cannot_use() {
        let error = |text| parse(text).expect_err("refused").to_string();
        assert!(error("").contains("no pod"));
        assert!(error("{\"kind\":").contains("not JSON"));
        assert!(error("a: [").contains("not YAML"));
    }

    #[test]
    fn a_file_without_an_end_is_not_read_to_its_end() {
        let error = read_at_most(io::repeat(b'x'), 5 << 20).expect_err("too large");
        assert_eq!(error.to_string(), "the file is larger than 5 MiB; split it");
        let text = read_at_most(&b"12345"[..], 5).expect("read");
        assert_eq!(text, "12345");
    }
}
