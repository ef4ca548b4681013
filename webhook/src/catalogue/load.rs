//! Reading rows: the embedded ones, and a user's, of which a broken one is refused by name and line.

use include_dir::{Dir, include_dir};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{
    Sidecar, Workload, Wrapper,
    key::{is_annotation_key, is_env_name},
};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/catalogue");

/// All rows in force, in the order they are tried.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Serialize)]
pub struct Catalogue {
    /// A user's own first, then those told by a name, then those told by their image alone.
    pub sidecars: Vec<Sidecar>,
    /// From the lowest rank on.
    pub workloads: Vec<Workload>,
    /// Other people's wrappers.
    pub wrappers: Vec<Wrapper>,
}

/// A user's rows of every kind, as the configuration file holds them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rows {
    /// Rows about sidecars.
    #[serde(default)]
    #[schemars(with = "Vec<Sidecar>")]
    pub sidecars: Vec<Spanned<Value>>,
    /// Rows about workloads.
    #[serde(default)]
    #[schemars(with = "Vec<Workload>")]
    pub workloads: Vec<Spanned<Value>>,
}

/// A row that is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("row `{name}` (line {line}): {reason}")]
pub struct BrokenRow {
    /// The row's name as far as it can be read, `?` otherwise.
    pub name: String,
    /// Line of the text the row begins on, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

// === impl Catalogue ===

impl Catalogue {
    /// The rows this program comes with.
    ///
    /// # Errors
    /// Names the embedded file that cannot be read; a test keeps that from ever being released.
    pub fn embedded() -> Result<Self, String> {
        let mut catalogue = Self {
            sidecars: files("sidecars")?,
            workloads: files("workloads")?,
            wrappers: files("wrappers")?,
        };
        catalogue.sort();
        Ok(catalogue)
    }

    /// Puts a user's rows before the others; one with the name of another replaces it.
    pub fn extend(&mut self, sidecars: Vec<Sidecar>, workloads: Vec<Workload>) {
        self.sidecars.retain(|row| sidecars.iter().all(|own| own.name != row.name));
        self.sidecars.splice(0..0, sidecars);
        self.workloads.retain(|row| workloads.iter().all(|own| own.name != row.name));
        self.workloads.splice(0..0, workloads);
        self.workloads.sort_by_key(|row| row.rank);
    }

    fn sort(&mut self) {
        self.sidecars
            .sort_by(|a, b| (a.containers.is_empty(), &a.name).cmp(&(b.containers.is_empty(), &b.name)));
        self.workloads.sort_by(|a, b| (a.rank, &a.name).cmp(&(b.rank, &b.name)));
    }
}

// === impl Rows ===

impl Rows {
    /// Reads each row by itself, so that a broken one does not take the others with it.
    pub fn read(self) -> (Vec<Sidecar>, Vec<Workload>, Vec<BrokenRow>) {
        let mut broken = Vec::new();
        let sidecars = each(self.sidecars, checked, &mut broken);
        let workloads = each(self.workloads, Ok, &mut broken);
        broken.sort_by_key(|row| row.line);
        (sidecars, workloads, broken)
    }
}

/// Reads the rows about sidecars a user wrote in an annotation.
///
/// # Errors
/// The text is no YAML list at all.
pub fn user_rows(text: &str) -> Result<(Vec<Sidecar>, Vec<BrokenRow>), String> {
    let sidecars = of_anybody(text)?;
    let (sidecars, _, broken) = Rows { sidecars, workloads: Vec::new() }.read();
    Ok((sidecars, broken))
}

/// Reads YAML of an annotation, which anybody may write, so that it cannot cost much. A row has some thirty nodes;
/// aliases are rare.
///
/// # Errors
/// It is none, or too much of it: says where.
pub(super) fn of_anybody<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 20_000, max_nodes: 10_000, max_depth: 16, max_documents: 1, max_anchors: 100,
            max_aliases: 100, max_recorded_anchor_events: 10_000, max_merge_keys: 100,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.without_snippet().to_string())
}

fn each<T: DeserializeOwned>(
    rows: Vec<Spanned<Value>>,
    check: impl Fn(T) -> Result<T, String>,
    broken: &mut Vec<BrokenRow>,
) -> Vec<T> {
    let read = |row: Spanned<Value>| {
        let line = row.referenced.line();
        let name = row.value.get("name").and_then(Value::as_str).unwrap_or("?").to_owned();
        serde_json::from_value(row.value)
            .map_err(|error| error.to_string())
            .and_then(&check)
            .map_err(|reason| BrokenRow { name, line, reason })
    };
    rows.into_iter().filter_map(|row| read(row).map_err(|refused| broken.push(refused)).ok()).collect()
}

/// What the types cannot say: a row must be told by something, and its endpoints' ports must be its own.
fn checked(row: Sidecar) -> Result<Sidecar, String> {
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if row.name.is_empty() || row.name.len() > 63 || !row.name.chars().all(lower) {
        return Err("`name` is not made of lower case letters, digits and dashes, 63 at most".to_owned());
    }
    for settings in row.shutdown.iter().flat_map(|shutdown| [&shutdown.requires, &shutdown.prefers]) {
        if let Some(name) = settings.env.keys().find(|name| !is_env_name(name)) {
            return Err(format!("`{name}` is no name of an environment variable"));
        }
    }
    if let Some(key) = row.annotations().find(|key| !is_annotation_key(key)) {
        return Err(format!("`{key}` is no key of an annotation"));
    }
    if row.containers.is_empty() && row.evidence.is_empty() {
        return Err("neither `containers` nor `evidence` says which container it is".to_owned());
    }
    if let Some(hold) = row.hold.as_ref().filter(|hold| of_anybody::<Value>(&hold.value).is_err()) {
        return Err(format!("hold.value: `{}` is no value in YAML", hold.value));
    }
    let endpoints = [row.ready.as_ref(), row.shutdown.as_ref().map(|shutdown| &shutdown.url)];
    let names = endpoints.into_iter().flatten().filter_map(|endpoint| endpoint.port_name());
    for name in names.chain(row.ports.values().filter_map(|port| port.needs.as_deref())) {
        if !row.ports.contains_key(name) {
            return Err(format!("no port `{name}` in `ports`"));
        }
    }
    Ok(row)
}

fn files<T: DeserializeOwned>(folder: &str) -> Result<Vec<T>, String> {
    let files = EMBEDDED.get_dir(folder).into_iter().flat_map(Dir::files);
    files
        .map(|file| {
            let path = file.path().display();
            let text = file.contents_utf8().ok_or_else(|| format!("{path}: not UTF-8"))?;
            serde_saphyr::from_str(text).map_err(|error| format!("{path}: {error}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_row_can_be_read_and_is_named_after_its_file() {
        let catalogue = Catalogue::embedded().expect("the embedded catalogue");
        let names = |folder: &str| -> Vec<String> {
            let files = EMBEDDED.get_dir(folder).expect(folder).files();
            let mut stems: Vec<_> =
                files.map(|f| f.path().file_stem().expect("a name").to_string_lossy().into_owned()).collect();
            stems.sort();
            stems
        };
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        assert_eq!(sorted(catalogue.sidecars.iter().map(|r| r.name.clone()).collect()), names("sidecars"));
        assert_eq!(sorted(catalogue.workloads.iter().map(|r| r.name.clone()).collect()), names("workloads"));
        assert_eq!(sorted(catalogue.wrappers.iter().map(|r| r.name.clone()).collect()), names("wrappers"));
        for row in catalogue.sidecars {
            checked(row).expect("a row that holds");
        }
    }

    #[test]
    fn a_broken_row_is_refused_by_name_and_line_and_the_rest_holds() {
        let text = "\
- name: good
  containers: [good]
  shutdown: {url: 'http://127.0.0.1:1/quit'}
- name: typo
  containers: [typo]
  redy: http://127.0.0.1:1/
- name: outside
  containers: [outside]
  ready: http://example.com:80/
- containers: [nameless]
- name: portless
  containers: [portless]
  ready: http://127.0.0.1:{admin}/
- name: anything
- just a string
";
        let (rows, broken) = user_rows(text).expect("a list");
        assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["good"]);
        let refused: Vec<_> = broken.iter().map(|b| (b.name.as_str(), b.line)).collect();
        assert_eq!(
            refused,
            [("typo", 4), ("outside", 7), ("?", 10), ("portless", 11), ("anything", 14), ("?", 15)]
        );
        assert!(broken[0].reason.contains("redy"), "{}", broken[0]);
        assert!(broken[1].reason.contains("not loopback"), "{}", broken[1]);
        assert!(broken[3].reason.contains("no port `admin`"), "{}", broken[4]);
    }

    #[test]
    fn a_row_that_would_have_the_pod_refused_is_refused_itself() {
        let refused = |row: &str| user_rows(row).expect("a list").1.pop().expect(row).reason;
        let with = |settings: &str| {
            format!(
                "- {{name: a, containers: [a], shutdown: {{url: 'http://127.0.0.1:1/', requires: {settings}}}}}"
            )
        };
        assert!(refused(&with("{annotations: {'not a key!': x}}")).contains("not a key!"));
        assert!(refused(&with("{annotations: {a/b/c: x}}")).contains("a/b/c"));
        assert!(refused(&with("{env: {'': x}}")).contains("environment variable"));
        assert!(refused(&with("{env: {A=B: x}}")).contains("A=B"));
        let port = "- {name: a, containers: [a], ports: {b: {default: 1, needs: c}}}";
        assert!(refused(port).contains("no port `c`"));
        let listed = "- {name: a, containers: [a], native: {listedIn: 'no key!'}}";
        assert!(refused(listed).contains("no key!"));
        assert!(refused("- {name: Big Name, containers: [a]}").contains("`name`"));
        let (rows, broken) = user_rows(&with("{annotations: {a.b/C_d: x}, env: {A_B: x}}")).expect("a list");
        assert_eq!((rows.len(), broken.len()), (1, 0));
    }

    #[test]
    fn text_that_is_no_list_is_an_error_with_its_place() {
        assert!(user_rows("name: linkerd").is_err());
        assert!(user_rows("- [").is_err());
    }

    #[test]
    fn an_annotation_that_multiplies_itself_is_refused_before_it_is_read() {
        let mut bomb = "- &a0 {name: a, containers: [a]}\n".to_owned();
        for level in 1..9 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("- &a{level} [{below}]\n"));
        }
        for text in [
            bomb,
            "- {name: a, containers: [a]}\n".repeat(9000),
            format!("- {}{}", "[".repeat(200), "]".repeat(200)),
        ] {
            let error = user_rows(&text).expect_err("too much of it");
            assert!(error.contains("budget breached"), "{error}");
        }
        let shared =
            "- {name: a, containers: &names [a, b], evidence: [image: x]}\n- {name: b, containers: *names}";
        assert_eq!(user_rows(shared).expect("a list").0.len(), 2);
    }

    #[test]
    fn a_row_of_the_same_name_replaces_the_embedded_one() {
        let mut catalogue = Catalogue::embedded().expect("the embedded catalogue");
        let (own, _) = user_rows("- {name: linkerd, containers: [linkerd-proxy]}").expect("a list");
        catalogue.extend(own, Vec::new());
        let rows: Vec<_> = catalogue.sidecars.iter().filter(|row| row.name == "linkerd").collect();
        assert_eq!(rows.len(), 1);
        assert!(rows[0].shutdown.is_none());
    }
}
