//! What is told of explanations.

use serde_json::{Value, json};

use super::Explanation;

/// For people: an object, its lines below it, what it is made of below that.
pub fn text(explanations: &[Explanation]) -> String {
    let mut text = String::new();
    for explanation in explanations {
        write(explanation, 0, &mut text);
    }
    text
}

/// The same for scripts.
pub fn as_json(explanations: &[Explanation]) -> Value {
    json!({"hangs": explanations.iter().any(Explanation::any_hangs), "objects": explanations})
}

fn write(explanation: &Explanation, depth: usize, text: &mut String) {
    let Explanation { object, namespace, lines, parts, .. } = explanation;
    let indent = "  ".repeat(depth);
    let place = if namespace.is_empty() || depth > 0 { String::new() } else { format!(" in {namespace}") };
    text.push_str(&format!("{indent}{}{place}\n", plain(object)));
    let width = lines.iter().map(|line| line.about.name().len()).max().unwrap_or_default() + 1;
    for line in lines {
        let about = format!("{}:", line.about.name());
        text.push_str(&format!("{indent}  {about:<width$} {}\n", plain(&line.text)));
    }
    for part in parts {
        write(part, depth + 1, text);
    }
}

/// What others wrote goes to a terminal: one line, without what terminals obey.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::About;

    fn sample() -> Explanation {
        let mut whole = Explanation::of("job", "a", "load");
        whole.hangs("hangs", "a pod of it does\n\u{1b}[31m", "end it");
        let mut part = Explanation::of("pod", "a-1", "load");
        part.say(About::Container, "main: running");
        whole.parts.push(part);
        whole
    }

    #[test]
    fn parts_stand_below_what_they_are_part_of() {
        let expected = "\
job/a in load
  state: hangs
  why:   a pod of it does  [31m
  mend:  end it
  pod/a-1
    container: main: running
";
        assert_eq!(text(&[sample()]), expected);
    }

    #[test]
    fn scripts_see_at_once_whether_anything_hangs() {
        let told = as_json(&[sample()]);
        assert_eq!(told["hangs"], true);
        assert_eq!(
            told["objects"][0]["parts"][0]["lines"][0],
            json!({"about": "container", "text": "main: running"})
        );
        let outer = Explanation { hangs: false, ..sample() };
        assert_eq!(as_json(&[Explanation { parts: vec![], ..outer }])["hangs"], false);
    }
}
