//! Faults: what goes wrong with a request of a test's choice.

use crate::answer::Refusal;

/// Something that goes wrong once.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The HTTP method.
    pub method: String,
    /// What the path holds, such as `actions/rebuild`.
    pub path: String,
    /// So many matching requests pass before.
    pub after: u32,
    /// What happens then.
    pub trouble: Trouble,
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// It is refused, and nothing is done.
    Refused(Refusal),
    /// A proxy answers with HTML and this status, and nothing is done.
    Html(u16),
    /// The connection ends before anything is done.
    CutBefore,
    /// The connection ends after it was done.
    CutAfter,
    /// The action that it begins fails, with this message.
    ActionFails(String),
}

/// Takes the trouble of a request out of what is to come.
pub(crate) fn take(faults: &mut Vec<Fault>, method: &str, path: &str) -> Option<Trouble> {
    let matches = |fault: &&mut Fault| fault.method == method && path.contains(&fault.path);
    let fault = faults.iter_mut().find(matches)?;
    if fault.after > 0 {
        fault.after -= 1;
        return None;
    }
    let at = faults.iter().position(|fault| {
        fault.method == method && path.contains(&fault.path) && fault.after == 0
    })?;
    Some(faults.remove(at).trouble)
}
