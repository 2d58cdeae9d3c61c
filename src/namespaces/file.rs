//! Namespaces from a file, for tests, the demo and `podseal review`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Deserialize;

use admission::namespace::Namespace;

/// The namespaces of a file, read once.
#[derive(Debug)]
pub struct NamespaceFile(HashMap<String, Arc<Namespace>>);

/// Why a file of namespaces cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceFileError {
    /// It is not YAML or JSON, or not of namespaces.
    #[error("not a list of namespaces: {0}")]
    Parse(serde_saphyr::Error),
    /// A document of another kind.
    #[error("document {index} is a {kind:?}; the file must contain Namespaces, or a List of them")]
    Kind {
        /// Which document, counted from 1.
        index: usize,
        /// Its `kind`.
        kind: String,
    },
    /// A namespace without a name.
    #[error("a namespace has no metadata.name")]
    NoName,
    /// The same namespace twice, possibly with different labels.
    #[error("it contains namespace {0:?} twice")]
    Twice(String),
    /// No namespace.
    #[error("it contains no namespace")]
    Empty,
}

impl NamespaceFile {
    /// Namespaces from a file's text: YAML or JSON, one or more documents, each
    /// a `Namespace` or a `List` of them, as `kubectl get ns -o yaml` prints.
    pub fn from_text(text: &str) -> Result<NamespaceFile, NamespaceFileError> {
        NamespaceFile::keeping(text, &BTreeSet::new())
    }

    /// Like [`NamespaceFile::from_text`], and keeps the labels with these keys.
    pub fn keeping(
        text: &str,
        keys: &BTreeSet<String>,
    ) -> Result<NamespaceFile, NamespaceFileError> {
        // No snippet: if the wrong file was given, it may be a private key.
        let options = serde_saphyr::options! {
            budget: None,
            legacy_octal_numbers: true,
            with_snippet: false,
        };
        let documents: Vec<Option<Document>> =
            serde_saphyr::from_multiple_with_options(text, options)
                .map_err(NamespaceFileError::Parse)?;
        let mut namespaces = HashMap::new();
        for (index, document) in documents.into_iter().enumerate() {
            let Some(document) = document else { continue };
            let items = match document.kind.as_str() {
                "Namespace" => vec![document.metadata],
                "List" | "NamespaceList" => document
                    .items
                    .into_iter()
                    .map(|item| item.metadata)
                    .collect(),
                kind => {
                    return Err(NamespaceFileError::Kind {
                        index: index + 1,
                        kind: kind.to_owned(),
                    });
                }
            };
            for Metadata {
                name,
                labels,
                annotations,
            } in items
            {
                let name = name
                    .filter(|name| !name.is_empty())
                    .ok_or(NamespaceFileError::NoName)?;
                let (labels, annotations) =
                    (labels.unwrap_or_default(), annotations.unwrap_or_default());
                let namespace = Namespace::keeping(name.clone(), labels, annotations, keys);
                if namespaces
                    .insert(name.clone(), Arc::new(namespace))
                    .is_some()
                {
                    return Err(NamespaceFileError::Twice(name));
                }
            }
        }
        if namespaces.is_empty() {
            return Err(NamespaceFileError::Empty);
        }
        Ok(NamespaceFile(namespaces))
    }

    /// The namespace `name`.
    pub fn get(&self, name: &str) -> Option<Arc<Namespace>> {
        self.0.get(name).cloned()
    }

    /// All namespaces.
    pub(super) fn all(&self) -> Vec<Arc<Namespace>> {
        self.0.values().cloned().collect()
    }

    /// The number of namespaces.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[derive(Deserialize)]
struct Document {
    kind: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    name: Option<String>,
    labels: Option<HashMap<String, String>>,
    annotations: Option<HashMap<String, String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        match NamespaceFile::from_text(text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn reads_documents_and_lists_alike() {
        let text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels: {podseal.io/profile: rootless, team: x}\n---\n\
                    kind: List\nitems:\n- kind: Namespace\n  metadata: {name: b}\n---\n";
        let namespaces = NamespaceFile::from_text(text).expect("namespaces");
        let a = namespaces.get("a").expect("a");
        assert!(a.opts_in() && a.labels.len() == 1, "{a:?}");
        assert!(!namespaces.get("b").expect("b").opts_in());
        assert_eq!(namespaces.get("c"), None);
    }

    #[test]
    fn refuses_what_it_would_have_to_guess_about() {
        assert!(error("kind: Pod\nmetadata: {name: a}\n").contains("\"Pod\""));
        assert!(error("kind: Namespace\nmetadata: {}\n").contains("no metadata.name"));
        let twice = "kind: Namespace\nmetadata: {name: a}\n";
        assert!(error(&format!("{twice}---\n{twice}")).contains("twice"));
        assert!(error("").contains("no namespace"));
    }
}
