//! Building operations: each method is told what is there and adds nothing where it is as wanted already.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use serde::{Serialize, Serializer};

use super::Patch;
use crate::pod::Text;

/// Each operation is kept as JSON: nobody needs them otherwise, and trees would have to be built for nothing.
#[derive(Default)]
pub(super) struct Editor {
    operations: Vec<String>,
}

#[derive(Serialize)]
struct Operation<'a, V: ?Sized> {
    op: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    path: fmt::Arguments<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a V>,
}

impl Editor {
    /// Sets a member of an object that is there.
    pub(super) fn set<F, V>(&mut self, path: fmt::Arguments<'_>, found: Option<&F>, value: &V)
    where
        F: PartialEq<V> + ?Sized,
        V: Serialize + ?Sized,
    {
        match found {
            Some(found) if found == value => {}
            Some(_) => self.push("replace", path, Some(value)),
            None => self.push("add", path, Some(value)),
        }
    }

    pub(super) fn add(&mut self, path: fmt::Arguments<'_>, value: &(impl Serialize + ?Sized)) {
        self.push("add", path, Some(value));
    }

    /// Puts a value in the place of one that is there.
    pub(super) fn replace(&mut self, path: fmt::Arguments<'_>, value: &impl Serialize) {
        self.push("replace", path, Some(value));
    }

    /// Takes an array element out, whose name is tested.
    pub(super) fn take_out(&mut self, element: &str, name: &str) {
        self.operations.push(json("test", None, format_args!("{element}/name"), Some(name)));
        self.push::<()>("remove", format_args!("{element}"), None);
    }

    /// Removes a member that is there.
    pub(super) fn remove(&mut self, path: fmt::Arguments<'_>) {
        self.push::<()>("remove", path, None);
    }

    /// Moves an array element, whose name is tested, as it is.
    pub(super) fn relocate(&mut self, from: &str, name: &str, path: &str) {
        self.operations.push(json("test", None, format_args!("{from}/name"), Some(name)));
        self.operations.push(json::<()>("move", Some(from), format_args!("{path}"), None));
    }

    /// Sets members of `metadata`'s labels or annotations.
    pub(super) fn set_entries(
        &mut self,
        list: &str,
        present: &BTreeMap<Text<'_>, Text<'_>>,
        entries: &[(&str, &str)],
    ) {
        if present.is_empty() {
            self.add(format_args!("/metadata/{list}"), &Entries(entries));
            return;
        }
        for (key, value) in entries {
            let found = present.get(*key).map(|value| &**value);
            self.set(format_args!("/metadata/{list}/{}", Escaped(key)), found, *value);
        }
    }

    pub(super) fn remove_entry(&mut self, list: &str, present: &BTreeMap<Text<'_>, Text<'_>>, key: &str) {
        if present.contains_key(key) {
            self.remove(format_args!("/metadata/{list}/{}", Escaped(key)));
        }
    }

    /// Appends to the list at `path` the items whose `identity` is none of the `present` ones.
    pub(super) fn append_missing<'i, V: Serialize + 'i>(
        &mut self,
        path: &str,
        present: &[&str],
        items: impl IntoIterator<Item = &'i V>,
        identity: impl Fn(&'i V) -> &'i str,
    ) {
        let missing: Vec<_> = items.into_iter().filter(|item| !present.contains(&identity(item))).collect();
        if !present.is_empty() {
            for item in missing {
                self.add(format_args!("{path}/-"), item);
            }
        } else if !missing.is_empty() {
            self.add(format_args!("{path}"), &missing);
        }
    }

    /// Puts a `test` of the array element's name before what `edits` adds; nothing where it adds nothing.
    pub(super) fn guarded(&mut self, element: &str, name: &str, edits: impl FnOnce(&mut Self)) {
        let start = self.operations.len();
        edits(self);
        if self.operations.len() > start {
            let test = json("test", None, format_args!("{element}/name"), Some(name));
            if !self.operations[..start].contains(&test) {
                self.operations.insert(start, test);
            }
        }
    }

    pub(super) fn finish(self) -> Patch {
        Patch { json: format!("[{}]", self.operations.join(",")), operations: self.operations.len() }
    }

    fn push<V>(&mut self, op: &'static str, path: fmt::Arguments<'_>, value: Option<&V>)
    where
        V: Serialize + ?Sized,
    {
        self.operations.push(json(op, None, path, value));
    }
}

fn json<V>(op: &'static str, from: Option<&str>, path: fmt::Arguments<'_>, value: Option<&V>) -> String
where
    V: Serialize + ?Sized,
{
    // Strings, numbers and JSON values always serialise.
    serde_json::to_string(&Operation { op, from, path, value }).unwrap_or_default()
}

/// Pairs as an object, in their order.
struct Entries<'a>(&'a [(&'a str, &'a str)]);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// A key as a path names it.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, part) in self.0.split('/').enumerate() {
            if number > 0 {
                f.write_str("~1")?;
            }
            part.chars().try_for_each(|c| if c == '~' { f.write_str("~0") } else { f.write_char(c) })?;
        }
        Ok(())
    }
}
