//! Lists: filters, order and pages.

use serde_json::{Value, json};

use crate::answer::{Answer, Outcome, Refusal};
use crate::labels;
use crate::project::{Project, Resource};

/// What is asked for behind the `?` of a path. Keys may come again.
#[derive(Debug, Default)]
pub(crate) struct Query(pub(crate) Vec<(String, String)>);

/// Resources on a page, where the query does not say.
const PER_PAGE: u64 = 25;
const MOST_PER_PAGE: u64 = 50;

impl Query {
    pub(crate) fn read(text: &str) -> Self {
        let decode = |part: &str| {
            let spaced = part.replace('+', " ");
            percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        });
        Self(pairs.collect())
    }

    pub(crate) fn get<'q>(&'q self, key: &'q str) -> Option<&'q str> {
        self.all(key).next()
    }

    pub(crate) fn all<'q>(&'q self, key: &'q str) -> impl Iterator<Item = &'q str> {
        self.0.iter().filter(move |(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    fn number(&self, key: &str, default: u64, most: u64) -> Result<u64, Refusal> {
        let Some(text) = self.get(key) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| Refusal::invalid(key, &format!("must be between 1 and {most}")))
    }
}

impl Project {
    /// The resources of a kind that the query asks for.
    pub(crate) fn list<T: Resource>(&self, query: &Query) -> Outcome {
        let selector = query.get("label_selector").unwrap_or_default();
        let mut shown = Vec::new();
        for resource in T::table(self).values() {
            let is_selected =
                selector.is_empty() || labels::select(selector, &resource.meta().labels)?;
            shown.extend(is_selected.then(|| self.show(resource)));
        }
        let fields = T::FILTERS.iter().chain(&["name"]);
        fields.for_each(|field| shown.retain(|value| is_asked_for(query, field, value)));
        page(T::KINDS, shown, query)
    }
}

/// Whether the query does not speak of a field, or names its value.
pub(crate) fn is_asked_for(query: &Query, field: &str, shown: &Value) -> bool {
    let value = &shown[field];
    let own = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    query.get(field).is_none() || query.all(field).any(|wanted| wanted == own)
}

/// One page of what is shown, in the order that is asked for.
pub(crate) fn page(kinds: &str, mut shown: Vec<Value>, query: &Query) -> Outcome {
    // The first key counts most.
    for sort in query.all("sort").collect::<Vec<_>>().into_iter().rev() {
        let (field, order) = sort.split_once(':').unwrap_or((sort, "asc"));
        shown
            .sort_by_key(|value| (value[field].as_u64(), value[field].as_str().map(str::to_owned)));
        if order == "desc" {
            shown.reverse();
        }
    }
    let page = query.number("page", 1, u64::MAX)?;
    let per_page = query.number("per_page", PER_PAGE, MOST_PER_PAGE)?;
    let total = shown.len() as u64;
    let last = total.div_ceil(per_page).max(1);
    let skipped = usize::try_from((page - 1).saturating_mul(per_page)).unwrap_or(usize::MAX);
    let shown = shown.into_iter().skip(skipped).take(per_page as usize).collect::<Vec<_>>();
    let pagination = json!({
        "page": page,
        "per_page": per_page,
        "previous_page": (page > 1).then(|| page - 1),
        "next_page": (page < last).then(|| page + 1),
        "last_page": last,
        "total_entries": total,
    });
    Ok(Answer::ok(json!({ kinds: shown, "meta": { "pagination": pagination } })))
}
