//! The plots in the repository show what the tables say.

#![allow(clippy::unwrap_used, reason = "what cannot be done in a test fails it")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use curfew_tests::report::draw;

fn all(folder: &Path) -> BTreeMap<PathBuf, String> {
    let files = fs::read_dir(folder.join("plots")).unwrap().map(|file| file.unwrap().path());
    files.map(|file| (file.file_name().unwrap().into(), fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn the_plots_of_the_benchmarks_are_those_of_their_tables() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let folder = tempfile::tempdir().unwrap();
    for document in ["benchmarks.md", "reliability.md"] {
        let copy = folder.path().join(document);
        fs::copy(docs.join(document), &copy).unwrap();
        assert!(!draw(&copy).unwrap().is_empty(), "{document} has no plot");
    }
    let (drawn, there) = (all(folder.path()), all(&docs));
    assert_eq!(drawn.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>());
    for (name, plot) in &there {
        assert_eq!(
            &drawn[name],
            plot,
            "docs/plots/{} is older than its table: run `make plots`",
            name.display()
        );
    }
}
