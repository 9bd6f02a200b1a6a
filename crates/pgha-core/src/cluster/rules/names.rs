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
    for key in spec.os.sysctl.keys() {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        if key.get_ref().is_empty() || !key.get_ref().chars().all(allowed) {
            remarks.error(
                key.span(),
                format!("`{}` is no kernel setting", key.get_ref()),
                "not allowed",
                "for example \"net.core.somaxconn\"",
            );
        }
    }
    if let Some(dir) = &spec.provider.local.state_dir
        && !dir.get_ref().starts_with('/')
    {
        remarks.error(
            dir.span(),
            "`state_dir` must be an absolute path",
            "relative",
            "nodes outlive the shell that started them, so a path must not depend on where that was",
        );
    }
}

fn name(of: &str, name: &Spanned<String>, remarks: &mut Remarks) {
    let text = name.get_ref();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = text.len() <= 20 && text.chars().all(allowed) && text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.ends_with('-');
    if !fits {
        remarks.error(name.span(), format!("`{text}` is no {of} name"), "not allowed", RULE);
    }
}
