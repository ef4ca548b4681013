//! Building operations: each method looks at the raw object first and adds nothing where it is as wanted already.

use json_patch::{
    AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation,
    jsonptr::{PointerBuf, Token},
};
use serde_json::{Map, Value, json};

pub(super) struct Editor<'a> {
    raw: &'a Value,
    operations: Vec<PatchOperation>,
}

impl<'a> Editor<'a> {
    pub(super) fn new(raw: &'a Value) -> Self {
        let mut editor = Self { raw, operations: Vec::new() };
        if editor.at("/metadata").is_none() {
            // Pod templates may come without.
            editor.add("/metadata", json!({}));
        }
        editor
    }

    /// Sets a member of the object at `parent`.
    pub(super) fn set(&mut self, parent: &str, key: &str, value: Value) {
        let path = format!("{parent}/{}", Token::new(key).encoded());
        match self.at(&path) {
            Some(found) if *found == value => {}
            Some(_) => self.replace(&path, value),
            None => self.add(&path, value),
        }
    }

    /// Sets members of `metadata`'s labels or annotations.
    pub(super) fn set_entries<'e>(
        &mut self,
        list: &str,
        entries: impl IntoIterator<Item = (&'e str, &'e str)>,
    ) {
        let parent = format!("/metadata/{list}");
        if self.at(&parent).is_some() {
            for (key, value) in entries {
                self.set(&parent, key, json!(value));
            }
        } else {
            let all: Map<_, _> =
                entries.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
            if !all.is_empty() {
                self.add(&parent, Value::Object(all));
            }
        }
    }

    pub(super) fn remove_entry(&mut self, list: &str, key: &str) {
        self.remove(&format!("/metadata/{list}/{}", Token::new(key).encoded()));
    }

    /// Appends to the list `parent/list` the items whose `identity` none of its items has.
    pub(super) fn append_missing<'i>(
        &mut self,
        parent: &str,
        list: &str,
        identity: &str,
        items: impl IntoIterator<Item = &'i Value>,
    ) {
        let path = format!("{parent}/{list}");
        let present = self.at(&path).and_then(Value::as_array);
        let is_there = |item: &Value| {
            present.is_some_and(|list| list.iter().any(|p| p.get(identity) == item.get(identity)))
        };
        let missing: Vec<_> = items.into_iter().filter(|item| !is_there(item)).cloned().collect();
        if present.is_some() {
            for item in missing {
                self.add(&format!("{path}/-"), item);
            }
        } else if !missing.is_empty() {
            self.add(&path, Value::Array(missing));
        }
    }

    /// Sets environment variables of the container at `container`; those it does not have come in one go, because a
    /// list that is not there yet can be added only once.
    pub(super) fn set_env<'e>(
        &mut self,
        container: &str,
        variables: impl IntoIterator<Item = (&'e str, &'e str)>,
    ) {
        let list = format!("{container}/env");
        let present = self.at(&list).and_then(Value::as_array);
        let position =
            |name: &str| present?.iter().rposition(|variable| variable.get("name") == Some(&json!(name)));
        let mut missing = Vec::new();
        for (name, value) in variables {
            let Some(index) = position(name) else {
                missing.push(json!({"name": name, "value": value}));
                continue;
            };
            let path = format!("{list}/{index}");
            self.guarded(&path, name, |editor| {
                // `value` and `valueFrom` exclude each other.
                editor.remove(&format!("{path}/valueFrom"));
                editor.set(&path, "value", json!(value));
            });
        }
        self.append_missing(container, "env", "name", &missing);
    }

    /// Puts a `test` of the array element's name before what `edits` adds; nothing where it adds nothing.
    pub(super) fn guarded(&mut self, element: &str, name: &str, edits: impl FnOnce(&mut Self)) {
        let start = self.operations.len();
        edits(self);
        let path = pointer(&format!("{element}/name"));
        let test = PatchOperation::Test(TestOperation { path, value: json!(name) });
        if self.operations.len() > start && !self.operations[..start].contains(&test) {
            self.operations.insert(start, test);
        }
    }

    pub(super) fn finish(self) -> Patch {
        Patch(self.operations)
    }

    /// What is there; `null` is as good as nothing.
    fn at(&self, path: &str) -> Option<&'a Value> {
        self.raw.pointer(path).filter(|value| !value.is_null())
    }

    fn add(&mut self, path: &str, value: Value) {
        self.operations.push(PatchOperation::Add(AddOperation { path: pointer(path), value }));
    }

    fn remove(&mut self, path: &str) {
        if self.raw.pointer(path).is_some() {
            self.operations.push(PatchOperation::Remove(RemoveOperation { path: pointer(path) }));
        }
    }

    fn replace(&mut self, path: &str, value: Value) {
        self.operations.push(PatchOperation::Replace(ReplaceOperation { path: pointer(path), value }));
    }
}

/// Every path here is built of literals, numbers and encoded tokens, so it parses; the root would fail the check
/// that every patch goes through before it is answered.
fn pointer(path: &str) -> PointerBuf {
    PointerBuf::parse(path).unwrap_or_default()
}
