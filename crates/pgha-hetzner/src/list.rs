//! Lists, page by page.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::Api;
use crate::error::ApiError;

/// Resources on a page: as many as the API allows, for each page is a request.
const PER_PAGE: &str = "50";

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    meta: Meta,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Deserialize, Default)]
struct Meta {
    #[serde(default)]
    pagination: Pagination,
}

#[derive(Deserialize, Default)]
struct Pagination {
    /// Absent or null on the last page.
    next_page: Option<u64>,
}

impl Api {
    /// All of a kind that a query asks for.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        kinds: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, ApiError> {
        let (mut all, mut next) = (Vec::new(), Some(1));
        while let Some(number) = next {
            let number = number.to_string();
            let paging = [("page", number.as_str()), ("per_page", PER_PAGE)];
            let page: Page = self.get(kinds, &[query, &paging].concat()).await?;
            let shown = page.rest.get(kinds).cloned().unwrap_or_default();
            let shown: Vec<T> = serde_json::from_value(shown)
                .map_err(|source| ApiError::Unreadable { call: format!("GET {kinds}"), source })?;
            all.extend(shown);
            next = page.meta.pagination.next_page;
        }
        Ok(all)
    }

    /// The one of a kind that has this name: names are unique in a project.
    pub(crate) async fn only<T: DeserializeOwned>(
        &self,
        kinds: &str,
        name: &str,
    ) -> Result<Option<T>, ApiError> {
        Ok(self.list(kinds, &[("name", name)]).await?.into_iter().next())
    }
}
