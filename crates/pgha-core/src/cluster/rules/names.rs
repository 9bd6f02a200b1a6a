//! Names: of the cluster, of nodes, and the PostgreSQL version.

use std::collections::BTreeMap;

use serde_spanned::Spanned;

use super::Remarks;
use crate::spec::Spec;

const RULE: &str = "lower-case letters, digits and hyphens, beginning with a letter, at most 20 characters: it becomes a host name";

pub(super) fn check(spec: &Spec, remarks: &mut Remarks) {
    name("cluster", &spec.cluster.name, remarks);
    let mut seen = BTreeMap::new();
    for node in spec.node.get_ref() {
        name("node", &node.name, remarks);
        if seen.insert(node.name.get_ref(), ()).is_some() {
            remarks.error(
                node.name.span(),
                format!("two nodes are called `{}`", node.name.get_ref()),
                "the second",
                "give each node a name of its own",
            );
        }
    }
    let major = &spec.cluster.postgresql;
    if *major.get_ref() != 17 {
        let message = format!("PostgreSQL {} is not in the debian base", major.get_ref());
        remarks.error(major.span(), message, "only 17 is", "Debian 13 packages PostgreSQL 17");
    }
    spec.os.sysctl.keys().for_each(|key| kernel_setting(key, remarks));
    if let Some(dir) = &spec.provider.local.state_dir {
        state_dir(dir, remarks);
    }
}

fn kernel_setting(key: &Spanned<String>, remarks: &mut Remarks) {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    // Each part is a directory below /proc/sys: an empty one would lead out of it.
    let part = |part: &str| !part.is_empty() && part.chars().all(allowed);
    if !key.get_ref().split(['.', '/']).all(part) {
        let message = format!("`{}` is no kernel setting", key.get_ref().escape_debug());
        remarks.error(key.span(), message, "not allowed", "for example \"net.core.somaxconn\"");
    }
}

fn state_dir(dir: &Spanned<String>, remarks: &mut Remarks) {
    if !dir.get_ref().starts_with('/') {
        let why = "nodes outlive the shell that started them, so a path must not depend on where that was";
        remarks.error(dir.span(), "`state_dir` must be an absolute path", "relative", why);
    }
    if dir.get_ref().contains(|c: char| c.is_control() || ":\\".contains(c)) {
        let why = "systemd-nspawn takes a colon and a backslash for more than themselves";
        remarks.error(
            dir.span(),
            "`state_dir` has a character that a path here cannot have",
            "this one",
            why,
        );
    }
}

fn name(of: &str, name: &Spanned<String>, remarks: &mut Remarks) {
    let text = name.get_ref();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = text.len() <= 20
        && text.chars().all(allowed)
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-');
    if !fits {
        remarks.error(name.span(), format!("`{text}` is no {of} name"), "not allowed", RULE);
    }
}
