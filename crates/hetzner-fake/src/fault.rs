//! Faults: what goes wrong with a request of a test's choice.

use crate::answer::Refusal;

/// Something that goes wrong once.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The HTTP method. Absent: any.
    pub method: Option<String>,
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
    let matches = |fault: &Fault| {
        let is_method = fault.method.as_ref().is_none_or(|wanted| wanted == method);
        is_method && path.contains(&fault.path)
    };
    let mut due = None;
    for (at, fault) in faults.iter_mut().enumerate().filter(|(_, fault)| matches(fault)) {
        match fault.after.checked_sub(1) {
            Some(left) => fault.after = left,
            None => due = due.or(Some(at)),
        }
    }
    Some(faults.remove(due?).trouble)
}
