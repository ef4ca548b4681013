//! The arguments for k6: all of them for runners, those `k6 archive` understands for the initializer.

use anyhow::bail;

use crate::spec::Spec;

/// What of the arguments the initializer gets, and whether they ask for k6's cloud.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Archive {
    pub(crate) arguments: Vec<String>,
    pub(crate) cloud: bool,
}

/// The arguments as words. `spec.arguments` is split at single spaces and nowhere else.
pub(crate) fn argv(spec: &Spec) -> Vec<String> {
    if !spec.args.is_empty() {
        return spec.args.clone();
    }
    if spec.arguments.is_empty() {
        return Vec::new();
    }
    spec.arguments.split(' ').map(str::to_owned).collect()
}

/// `spec.arguments` may hold quotes and goes through a shell, `spec.args` doesn't.
pub(crate) fn needs_shell(spec: &Spec) -> bool {
    spec.args.is_empty()
}

/// Leaves out what `k6 archive` refuses or what would spoil the initializer's output. A word that is neither a flag nor
/// follows one makes the TestRun invalid.
pub(crate) fn for_archive(argv: &[String]) -> anyhow::Result<Archive> {
    let mut archive = Archive::default();
    let mut words = argv.iter().map(|word| word.trim()).peekable();
    while let Some(flag) = words.next() {
        if flag.is_empty() {
            continue;
        }
        if !flag.starts_with('-') {
            bail!("encountered an invalid value for k6 CLI argument: `{flag}`");
        }
        let mut group = vec![flag];
        while let Some(value) = words.next_if(|word| !word.starts_with('-')) {
            group.push(value);
        }
        let left_out = ["--log-output", "--block-hostnames", "--blacklist-ip", "--user-agent"];
        match flag {
            _ if left_out.iter().any(|one| flag.starts_with(one)) => {}
            "-o" | "--out" => archive.cloud |= group.contains(&"cloud"),
            "-l" | "--linger" | "--no-usage-report" | "--verbose" | "-v" => {}
            _ => archive.arguments.extend(group.into_iter().map(str::to_owned)),
        }
    }
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: serde_json::Value) -> Spec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn words_are_split_at_single_spaces_and_args_are_words_already() {
        assert_eq!(argv(&spec(json!({"arguments": "--tag a=b --quiet"}))), ["--tag", "a=b", "--quiet"]);
        assert_eq!(argv(&spec(json!({"arguments": ""}))), [""; 0]);
        assert_eq!(argv(&spec(json!({"args": ["--tag", "a=b c"]}))), ["--tag", "a=b c"]);
        assert!(!needs_shell(&spec(json!({"args": ["--tag"]}))));
    }

    #[test]
    fn the_initializer_gets_only_what_k6_archive_understands() {
        let argv =
            argv(&spec(json!({"arguments": "--out json=x -e A=1 --verbose --log-output=none --tag b=c"})));
        assert_eq!(for_archive(&argv).unwrap().arguments, ["-e", "A=1", "--tag", "b=c"]);
        assert!(!for_archive(&argv).unwrap().cloud);
    }

    #[test]
    fn the_cloud_is_noticed() {
        let argv = ["--out".to_owned(), "cloud".to_owned()];
        assert_eq!(for_archive(&argv).unwrap(), Archive { arguments: Vec::new(), cloud: true });
    }

    #[test]
    fn a_word_without_a_flag_is_refused() {
        let error = for_archive(&["script.js".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "encountered an invalid value for k6 CLI argument: `script.js`");
    }
}
