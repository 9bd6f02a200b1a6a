//! Parameters whose value must be in the image: libraries, locales, time zones, directories.
//! PostgreSQL does not start without what they name.

use std::ops::Range;

use serde_json::Value;

use super::super::Base;
use super::super::contrib::{CONTRIB, LIBRARIES};
use super::Remarks;
use crate::spec::nearest;

const PRELOADED: &[&str] =
    &["shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"];
const LOCALES: &[&str] = &["lc_messages", "lc_monetary", "lc_numeric", "lc_time"];
const ZONES: &[&str] = &["timezone", "log_timezone"];
const TIMEZONES: &str = include_str!("../timezones.txt");

/// The directory of everything that PostgreSQL may write.
const VOLUME: &str = "/var/lib/pgha/";

/// What is wrong with the value of `key` in an image of `base`. The nixos base adds packages for
/// declared extensions, and their content is not known here: a warning is enough.
pub(super) fn check(
    key: &str,
    value: &Value,
    base: Base,
    span: Range<usize>,
    remarks: &mut Remarks,
) {
    let text = value.as_str().unwrap_or_default();
    let found = match key {
        _ if PRELOADED.contains(&key) => library(text),
        _ if LOCALES.contains(&key) => locale(text),
        _ if ZONES.contains(&key) => zone(text),
        "log_directory" if text.starts_with('/') && !text.starts_with(VOLUME) => Some((
            format!("`{text}` is not on the data volume"),
            format!(
                "nothing outside {VOLUME} can be written or survives; leave the first `/` out to be below the data"
            ),
        )),
        _ => None,
    };
    match (found, base) {
        (Some((message, help)), Base::Debian) => {
            remarks.error(span, message, "not in the image", help)
        }
        (Some((message, help)), Base::Nixos) => {
            remarks.warning(span, message, "perhaps not in the image", help);
        }
        (None, _) => {}
    }
}

/// Message and help.
type Complaint = (String, String);

fn library(list: &str) -> Option<Complaint> {
    let names = list.split(',').map(|name| name.trim().trim_matches('"'));
    let names = names.map(|name| name.strip_prefix("$libdir/").unwrap_or(name));
    let known = |name: &str| CONTRIB.contains(&name) || LIBRARIES.contains(&name);
    let missing = names.filter(|name| !name.is_empty()).find(|name| !known(name))?;
    let all = [CONTRIB, LIBRARIES].concat();
    let help = nearest(missing, &all)
        .map_or("it has the libraries of PostgreSQL's contrib modules".to_owned(), |near| {
            format!("did you mean `{near}`?")
        });
    Some((format!("there is no library `{missing}`"), help))
}

fn locale(name: &str) -> Option<Complaint> {
    let known = ["", "c", "posix", "c.utf-8", "c.utf8"];
    (!known.contains(&name.to_ascii_lowercase().as_str()))
        .then(|| (format!("there is no locale `{name}`"), "it has C and C.UTF-8".to_owned()))
}

/// PostgreSQL also accepts abbreviations and rules. Only of a place can it be said that it is
/// missing.
fn zone(name: &str) -> Option<Complaint> {
    let zones = || TIMEZONES.lines().filter(|line| !line.starts_with('#'));
    if !name.contains('/') || zones().any(|zone| zone.eq_ignore_ascii_case(name)) {
        return None;
    }
    let help = nearest(name, &zones().collect::<Vec<_>>())
        .map_or("name one of the tz database, such as Europe/Berlin".to_owned(), |near| {
            format!("did you mean `{near}`?")
        });
    Some((format!("there is no time zone `{name}`"), help))
}
