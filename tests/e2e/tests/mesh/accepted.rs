//! What Curfew makes of a pod is a pod: the API server takes every one of the corpus whose original it takes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use curfew_e2e::{Setup, Space};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

/// As many cases as this must have been compared, or the corpus was not found whole.
const AT_LEAST: usize = 150;
/// Questions at a time.
const AT_ONCE: usize = 8;

#[tokio::test]
async fn every_patched_pod_of_the_corpus_is_accepted_whose_original_is() -> Result<()> {
    // Neither Curfew nor a mesh is asked here: it is the corpus' pods that are, as they are written.
    Setup::new("corpus accepted")
        .run(async |space| {
            let asked = cases()?.into_iter().map(|case| compare(space, case));
            let compared: Vec<Option<Outcome>> =
                stream::iter(asked).buffer_unordered(AT_ONCE).try_collect().await?;
            let compared: Vec<_> = compared.into_iter().flatten().collect();
            let refused: Vec<_> = compared.iter().filter_map(|outcome| outcome.refusal.as_ref()).collect();
            let (all, none) = (compared.len(), refused.is_empty());
            ensure!(none, "{} of {all} patched pods are refused: {refused:#?}", refused.len());
            ensure!(all >= AT_LEAST, "only {all} cases have a patch and an original that is accepted");
            Ok(())
        })
        .await
}

/// Of a case whose original is accepted.
struct Outcome {
    /// The case, and why its patched pod is not.
    refusal: Option<(String, String)>,
}

/// The folders of the cases in which Curfew patches the pod.
fn cases() -> Result<Vec<PathBuf>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let folders = std::fs::read_dir(&corpus).with_context(|| corpus.display().to_string())?;
    let folders: Vec<_> = folders.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    Ok(folders.into_iter().filter(|folder| folder.join("patched.yaml").exists()).collect())
}

/// None where the original is refused, as some are on purpose.
async fn compare(space: &Space, case: PathBuf) -> Result<Option<Outcome>> {
    let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if space.refusal(pod(space, &case.join("pod.yaml"), &name)?).await?.is_some() {
        return Ok(None);
    }
    let patched = pod(space, &case.join("patched.yaml"), &format!("{name}-patched"))?;
    let refusal = space.refusal(patched).await?.map(|why| (name, why));
    Ok(Some(Outcome { refusal }))
}

/// A pod of the corpus, in the test's namespace and under a name of its own.
fn pod(space: &Space, file: &Path, name: &str) -> Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut pod: Value = serde_saphyr::from_str(&text).with_context(|| file.display().to_string())?;
    let metadata = pod["metadata"].as_object_mut().context("a pod without metadata")?;
    metadata.shift_remove("generateName");
    metadata.insert("namespace".to_owned(), json!(space.name()));
    metadata.insert("name".to_owned(), json!(name));
    Ok(pod)
}
