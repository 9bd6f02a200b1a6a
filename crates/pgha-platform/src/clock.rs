//! What time it is.

/// This moment in RFC 3339, to the second, as labels and notes have it.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
