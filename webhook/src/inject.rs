//! `curfew inject`: the webhook's decisions applied to files, offline.
//!
//! What holds no pod passes through byte for byte; a document that is patched is written anew, so its comments and
//! its layout are lost.

mod diff;
mod documents;
mod find;

use serde_json::Value;

use crate::{
    admission::{Engine, Outcome, Surroundings},
    plan::Wish,
};

pub use diff::unified;
pub use documents::{DocumentError, Documents};
pub use find::{Found, find};

/// What came of one pod or template in a file.
#[derive(Clone, Debug)]
pub struct Report {
    /// Number of its document in the file, from 1.
    pub document: usize,
    /// Kind and name of the object that holds it.
    pub object: String,
    /// What was done with it.
    pub outcome: Outcome,
}

/// A file with its pods patched.
#[derive(Clone, Debug)]
pub struct Injected {
    /// The whole text.
    pub text: String,
    /// Unified diff of the documents that changed, both sides in the same layout; empty where none did.
    pub diff: String,
    /// One per pod or template.
    pub reports: Vec<Report>,
}

/// Patches every pod and pod template in a text of YAML documents (or JSON, which is YAML too), with these
/// surroundings.
///
/// # Errors
/// A document is no YAML: names the file, the document and the line.
pub fn inject(
    engine: &Engine,
    name: &str,
    text: &str,
    around: Surroundings<'_>,
    strategy: Option<Wish>,
) -> Result<Injected, DocumentError> {
    let mut injected = Injected { text: String::new(), diff: String::new(), reports: Vec::new() };
    for document in Documents::of(name, text) {
        let document = document?;
        let mut value = document.value.clone();
        for found in find(&value) {
            let outcome = patch_at(engine, &mut value, &found, around, strategy);
            injected.reports.push(Report { document: document.number, object: found.object, outcome });
        }
        if value == document.value {
            injected.text.push_str(document.text);
        } else {
            let label = format!("{name} document {}", document.number);
            injected.diff.push_str(&unified(&label, &document.value, &value));
            injected.text.push_str(&document.render(&value));
        }
    }
    Ok(injected)
}

fn patch_at(
    engine: &Engine,
    value: &mut Value,
    found: &Found,
    around: Surroundings<'_>,
    strategy: Option<Wish>,
) -> Outcome {
    let Some(raw) = value.pointer_mut(&found.pointer) else {
        return Outcome::Failed("the pod is no longer where it was found".to_owned());
    };
    let outcome = engine.decide(raw.clone(), found.as_pod.as_ref(), around, strategy);
    if let Outcome::Planned { patched, .. } = &outcome {
        raw.clone_from(patched);
    }
    outcome
}
