//! The corpus: one folder a case under `tests/corpus/` of the workspace, a pod in, plan and pod out.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use curfew::{
    admission::{Engine, Outcome, Surroundings},
    config::Config,
    plan::{Kubelets, Namespace, Version},
};
use serde_json::{Value, json};

/// One folder.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) pod: Value,
    pub(crate) namespace: Namespace,
    pub(crate) cluster: Option<Cluster>,
    pub(crate) config: Option<PathBuf>,
}

/// The cluster a case is on; of most, nothing is known.
pub(crate) struct Cluster {
    pub(crate) kubelets: Kubelets,
    pub(crate) oldest: Option<Version>,
    /// Curfew's watch runs there.
    pub(crate) watch: bool,
}

/// Set to rewrite the goldens with what comes out.
pub(crate) const BLESS: &str = "CURFEW_BLESS";

pub(crate) fn corpus_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus")
}

pub(crate) fn cases() -> &'static [Case] {
    // Read once: there are hundreds, and every test is about all of them.
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
        let mut folders: Vec<_> = fs::read_dir(corpus_folder())
            .expect("tests/corpus")
            .map(|entry| entry.expect("an entry of tests/corpus").path())
            .filter(|path| path.is_dir())
            .collect();
        folders.sort();
        folders.into_iter().map(Case::read).collect()
    });
    &CASES
}

impl Case {
    fn read(folder: PathBuf) -> Self {
        let name = folder.file_name().expect("a folder has a name").to_string_lossy().into_owned();
        let pod =
            yaml(&folder.join("pod.yaml")).unwrap_or_else(|| panic!("{name}: goldens without a pod.yaml"));
        let namespace = yaml(&folder.join("namespace.yaml")).unwrap_or_default();
        let annotations: Option<BTreeMap<String, String>> =
            serde_json::from_value(namespace["annotations"].clone()).expect("annotations");
        let labelled = namespace["labels"]["curfew.dev/inject"] == "enabled";
        let namespace = Namespace { annotations: annotations.unwrap_or_default(), labelled, unread: None };
        let config = Some(folder.join("config.yaml")).filter(|path| path.exists());
        let cluster = yaml(&folder.join("cluster.yaml")).map(|cluster| Cluster::of(&cluster));
        Self { name, folder, pod, namespace, cluster, config }
    }

    pub(crate) fn config(&self) -> Config {
        static BUILTIN: LazyLock<Config> =
            LazyLock::new(|| Config::builtin().expect("the built-in configuration"));
        match &self.config {
            Some(path) => Config::load(path).unwrap_or_else(|error| panic!("{}: {error}", self.name)),
            None => BUILTIN.clone(),
        }
    }

    /// What is known beside its pod.
    pub(crate) fn around(&self) -> Surroundings<'_> {
        let kubelets = self.cluster.as_ref().map_or(nowhere().kubelets, |cluster| &cluster.kubelets);
        let watch = self.cluster.as_ref().is_some_and(|cluster| cluster.watch);
        Surroundings { namespace: &self.namespace, kubelets, watch }
    }

    pub(crate) fn decide(&self, pod: &Value) -> Outcome {
        Engine::new(self.config()).decide(pod.clone(), None, self.around(), None)
    }

    /// The golden pod: what has to come out, whichever way the pod goes in.
    pub(crate) fn patched(&self) -> Value {
        yaml(&self.folder.join("patched.yaml")).unwrap_or_else(|| self.pod.clone())
    }
}

impl Cluster {
    /// Its `kubelets` are versions; their nodes are node-1, node-2 and so on. Without any, nothing is known of them.
    fn of(cluster: &Value) -> Self {
        let versions: Option<Vec<Version>> =
            serde_json::from_value(cluster["kubelets"].clone()).expect("versions of kubelets");
        let watch = cluster["watch"] == true;
        let Some(versions) = versions else {
            return Self { kubelets: Kubelets::default(), oldest: None, watch };
        };
        let names: Vec<_> = (1..=versions.len()).map(|number| format!("node-{number}")).collect();
        let nodes = names.iter().map(String::as_str).zip(versions.iter().copied());
        Self { kubelets: Kubelets::of(nodes, None), oldest: versions.iter().min().copied(), watch }
    }
}

/// A namespace without defaults, on a cluster of which nothing is known.
pub(crate) fn nowhere() -> Surroundings<'static> {
    static NAMESPACE: LazyLock<Namespace> = LazyLock::new(Namespace::default);
    static KUBELETS: LazyLock<Kubelets> = LazyLock::new(Kubelets::default);
    Surroundings { namespace: &NAMESPACE, kubelets: &KUBELETS, watch: false }
}

/// What a golden plan holds: the decision and the operations' places, not their values, which the golden pod shows.
pub(crate) fn plan_golden(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Untouched(reason) => json!({"untouched": reason}),
        Outcome::Failed(reason) => json!({"failed": reason}),
        Outcome::Planned { plan, patch, .. } => {
            let mut golden = plan.to_json();
            let members = golden.as_object_mut().expect("a plan is an object");
            members.shift_remove("edits");
            let place = |op: &Value| {
                let words = ["op", "from", "path"].into_iter().filter_map(|member| op[member].as_str());
                words.collect::<Vec<_>>().join(" ")
            };
            let operations =
                json!(patch).as_array().expect("a patch is a list").iter().map(place).collect::<Vec<_>>();
            members.insert("operations".to_owned(), json!(operations));
            golden
        }
    }
}

pub(crate) fn yaml(path: &Path) -> Option<Value> {
    let text = fs::read_to_string(path).ok()?;
    Some(serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Compares with a golden, or rewrites it.
pub(crate) fn golden(path: &Path, found: Option<&Value>) -> Result<(), String> {
    if std::env::var_os(BLESS).is_some() {
        match found {
            Some(value) => fs::write(path, serde_saphyr::to_string(value).expect("YAML")).expect("golden"),
            None => drop(fs::remove_file(path)),
        }
        return Ok(());
    }
    let wanted = yaml(path);
    if wanted.as_ref() == found {
        return Ok(());
    }
    let none = Value::Null;
    let (wanted, found) = (wanted.as_ref().unwrap_or(&none), found.unwrap_or(&none));
    Err(format!("{}\n{}", path.display(), curfew::inject::unified("golden", wanted, found)))
}
