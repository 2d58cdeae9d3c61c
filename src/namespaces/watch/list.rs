//! Lists the namespaces of a selection, page by page.

use std::sync::Arc;
use std::time::Instant;

use kube::api::ListParams;
use kube::core::Request;
use tokio::time::timeout;

use super::{PATH, PROGRESS, Watch, WatchError, known};
use crate::kubernetes::request::ask;
use crate::namespaces::cache::NamespacesByName;
use crate::namespaces::object::{PageEnd, read_page};
use crate::namespaces::version::Version;
use crate::namespaces::watch_lag::WatchLag;

/// The maximum number of namespaces per page.
const PAGE: u64 = 500;
/// The number on the first page, before their size is known.
const FIRST_PAGE: u64 = 100;
/// The minimum number per page.
const SMALLEST_PAGE: u64 = 4;
/// The intended size of a page in bytes. The API server keeps a page in memory, and
/// its request times out after a minute.
const PAGE_BYTES: u64 = 32 << 20;
/// How often a failed page is requested again, each time with fewer namespaces.
const PAGE_TRIES: u32 = 4;

/// A page that was read.
struct Page {
    end: PageEnd,
    objects: u64,
    bytes: u64,
}

impl Watch {
    /// Lists the namespaces, and returns the version to watch from.
    pub(super) async fn list(&mut self) -> Result<String, WatchError> {
        // The list is as of this time or later.
        let as_of = Instant::now();
        let mut namespaces = NamespacesByName::new();
        let mut next = String::new();
        let (mut size, mut tries, mut bytes) = (FIRST_PAGE, 0, 0);
        let version = loop {
            let mut params = ListParams::default().labels(&self.selection.labels());
            params.limit = u32::try_from(size).ok();
            params.continue_token = Some(next.clone()).filter(|next| !next.is_empty());
            let page = match self.page(&params, &mut namespaces).await {
                Ok(page) => page,
                // The page may have been too large. What was read of it remains valid,
                // because the token fixes the version: the next page repeats it. Only
                // the first page has no token.
                Err(WatchError::Answer(_)) if tries < PAGE_TRIES => {
                    tries += 1;
                    size = (size / 4).max(SMALLEST_PAGE);
                    if next.is_empty() {
                        namespaces.clear();
                    }
                    continue;
                }
                Err(broken) => return Err(broken),
            };
            tries = 0;
            bytes += page.bytes;
            if page.end.next.is_empty() {
                break known(&page.end.version)?;
            }
            let of_one = (page.bytes / page.objects.max(1)).max(1);
            size = (PAGE_BYTES / of_one).clamp(SMALLEST_PAGE, PAGE);
            next = page.end.next;
        };
        let listed = namespaces.len();
        let name = self.selection.name();
        tracing::info!(namespaces = listed, "listed the {name}");
        self.lag = WatchLag::new(as_of);
        self.lag.read(bytes);
        self.cache.replace(namespaces, Version::of(&version), as_of);
        Ok(version)
    }

    /// Gets a page, and adds its namespaces to `namespaces`.
    async fn page(
        &mut self,
        params: &ListParams,
        namespaces: &mut NamespacesByName,
    ) -> Result<Page, WatchError> {
        let request = Request::new(PATH).list_metadata(params)?;
        let answer = timeout(PROGRESS, ask(&self.client, request, PROGRESS)).await;
        let mut json = answer.map_err(|_| WatchError::Hung)??;
        let mut objects = 0;
        let selection = Arc::clone(&self.selection);
        let end = read_page(&mut json, selection.keys(), |object| {
            objects += 1;
            if let Some(namespace) = self.covered(object) {
                let name = namespace.name.as_str().into();
                namespaces.insert(name, Arc::new(namespace));
            }
        });
        let end = end.await?;
        let bytes = json.taken();
        Ok(Page {
            end,
            objects,
            bytes,
        })
    }
}
