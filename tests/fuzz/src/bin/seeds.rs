//! Writes the pods of the corpus as reviews into a folder: what the fuzzer begins with.

use std::{env, error::Error, fs, path::Path};

use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::args().nth(1).ok_or("usage: seeds FOLDER")?;
    fs::create_dir_all(&out)?;
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for case in fs::read_dir(corpus)? {
        let case = case?;
        let pod: Value = serde_saphyr::from_str(&fs::read_to_string(case.path().join("pod.yaml"))?)?;
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "n", "operation": "CREATE", "object": pod}});
        fs::write(Path::new(&out).join(case.file_name()), review.to_string())?;
    }
    Ok(())
}
