//! Reads a page of a list of namespaces.

use std::collections::BTreeSet;

use super::{Object, WORD, named};
use crate::kubernetes::json_stream::{JsonStream, StreamError};

/// The longest `continue` token, which contains a version and a name.
const TOKEN: usize = 4096;

/// The metadata of a page.
#[derive(Debug, Default, PartialEq)]
pub(in crate::namespaces) struct PageEnd {
    /// The resource version of the list.
    pub(in crate::namespaces) version: String,
    /// The `continue` token; empty on the last page.
    pub(in crate::namespaces) next: String,
}

/// Reads a page of the list, and calls `take` for each namespace. Labels with these
/// `keys` are kept in addition.
pub(in crate::namespaces) async fn read_page(
    json: &mut JsonStream,
    keys: &BTreeSet<String>,
    mut take: impl FnMut(Object),
) -> Result<PageEnd, StreamError> {
    let mut end = PageEnd::default();
    let mut members = json.object().await?;
    while let Some(key) = json.next_key(&mut members).await? {
        match &*key {
            "metadata" => end = read_page_metadata(json).await?,
            "items" => {
                let mut items = json.array().await?;
                while json.has_next(&mut items).await? {
                    take(named(Object::read(json, keys).await?)?);
                }
            }
            _ => json.skip().await?,
        }
    }
    match json.begins().await? {
        true => Err(StreamError::Invalid("data follows the page")),
        false => Ok(end),
    }
}

async fn read_page_metadata(json: &mut JsonStream) -> Result<PageEnd, StreamError> {
    let mut end = PageEnd::default();
    let mut members = json.object().await?;
    while let Some(key) = json.next_key(&mut members).await? {
        match &*key {
            "resourceVersion" => end.version = json.short_text(WORD).await?,
            "continue" => end.next = json.short_text(TOKEN).await?,
            _ => json.skip().await?,
        }
    }
    Ok(end)
}
