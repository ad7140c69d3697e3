//! YAML to the tree that TOML is parsed to, so that everything behind it, from unknown keys to lines of errors, is the same.
//!
//! Read is what both can say: mappings by name, lists, text, numbers as TOML writes them, `true` and `false`. `off`, `no` and
//! `on` are text, as YAML 1.2 has it. Aliases are followed within limits; refused are tags, second documents, keys that stand
//! twice or are no text, and null.

mod builder;

use builder::Builder;
use saphyr_parser::{Parser, ScanError};
use toml::Spanned;
use toml::de::DeTable;

use super::form::Flaw;

/// The tree of a text.
pub(super) fn tree(text: &str) -> Result<Spanned<DeTable<'_>>, Flaw> {
    let mut places = Places { text, character: 0, byte: 0 };
    let mut builder = Builder::new(text);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| flaw(&mut places, &error))?;
        // Of a value with an anchor, the start is the anchor's; the end is the value's own.
        let end = places.byte(span.end.index());
        let offset = places.byte(span.start.index());
        builder.take(event, offset, end).map_err(|message| Flaw { offset, message })?;
    }
    Ok(builder.end())
}

fn flaw(places: &mut Places<'_>, error: &ScanError) -> Flaw {
    Flaw { offset: places.byte(error.marker().index()), message: error.info().to_owned() }
}

/// Bytes by characters, which is what the parser counts. It goes through the text once, but for a step back now and then.
struct Places<'i> {
    text: &'i str,
    character: usize,
    byte: usize,
}

impl Places<'_> {
    /// Where a character begins; past the last one, the end of the text.
    fn byte(&mut self, character: usize) -> usize {
        while self.character < character {
            let Some(next) = self.text[self.byte..].chars().next() else { break };
            (self.character, self.byte) = (self.character + 1, self.byte + next.len_utf8());
        }
        while self.character > character {
            let Some(last) = self.text[..self.byte].chars().next_back() else { break };
            (self.character, self.byte) = (self.character - 1, self.byte - last.len_utf8());
        }
        self.byte
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    fn read(yaml: &str) -> Result<Config, String> {
        Config::parse(yaml, Path::new("p.yaml")).map_err(|error| error.to_string())
    }

    fn refusal(yaml: &str) -> String {
        read(yaml).expect_err(yaml)
    }

    fn line(yaml: &str, line: usize) -> String {
        let refusal = refusal(yaml);
        let start = format!("configuration `p.yaml`, line {line}: ");
        refusal.strip_prefix(&start).unwrap_or_else(|| panic!("{refusal}: expected line {line}")).to_owned()
    }

    #[test]
    fn both_forms_say_the_same() {
        let toml = r#"
            [server]
            listen = "127.0.0.1:1"
            max_body_bytes = 1_000
            admin_key_sha256 = ["00", "11"]
            [router]
            path = "r.safetensors"
            objective = 2.5e-3
            [aliases]
            "chat-fast" = "small"
            on = "auto:quality"
            [sessions]
            stick = "off"
            [state]
            path = "off"
            [[targets]]
            name = "é"
            model = "small"
            base_url = "http://127.0.0.1:1/v1"
            private_addresses = true
            timeouts = { connect_ms = 0x10, total_ms = 5 }
            [[targets]]
            name = "b"
            model = "large"
            base_url = "http://127.0.0.1:2/v1"
            endpoints = []
            timeouts = { connect_ms = 0x10, total_ms = 5 }
            [[policies]]
            name = "free"
            when = 'context.plan == "free"'
            refuse = "two\nlines\n"
        "#;
        let yaml = r#"# A comment.
server:
  listen: 127.0.0.1:1
  max_body_bytes: 1_000
  admin_key_sha256: ["00", '11']
router: {path: r.safetensors, objective: 2.5e-3}
aliases:
  chat-fast: small
  on: auto:quality
sessions:
  stick: off
state:
  path: off
targets:
- name: é
  model: small
  base_url: http://127.0.0.1:1/v1
  private_addresses: true
  timeouts: &times
    connect_ms: 0x10
    total_ms: &five 5
- name: b
  model: large
  base_url: "http://127.0.0.1:2/v1"
  endpoints: []
  timeouts: *times
policies:
  - name: free
    when: context.plan == "free"
    refuse: |
      two
      lines
"#;
        let toml = Config::parse(toml, Path::new("p.toml")).expect("valid");
        for yaml in [yaml.to_owned(), yaml.replace('\n', "\r\n"), format!("\u{feff}---\n{yaml}...\n")] {
            assert_eq!(format!("{:?}", read(&yaml).expect("valid")), format!("{toml:?}"));
        }
    }

    #[test]
    fn json_is_read_as_well() {
        let config = read(r#"{"router": {"path": "r\u00e9", "objective": "cheap"}, "health": {"interval_ms": 5}}"#);
        let config = config.expect("valid");
        assert_eq!((config.router.path, config.health.interval_ms), (Some("ré".into()), Some(5)));
    }

    #[test]
    fn an_empty_text_is_an_empty_configuration() {
        for empty in ["", "# nothing\n", "---\n# nothing\n", "{}"] {
            assert!(read(empty).expect("empty").router.path.is_none(), "{empty}");
        }
    }

    #[test]
    fn unknown_keys_have_the_messages_of_toml() {
        assert_eq!(
            refusal("# é\nserver:\n  listen: a\n  max_body: 3\n"),
            "configuration `p.yaml`, line 4: unknown key `max_body` in [server]; did you mean `max_body_bytes`?"
        );
        assert_eq!(
            line("log: {\n  level: info,\n  colour: true}\n", 3),
            "unknown key `colour` in [log], which takes format, level, prompts"
        );
        assert_eq!(line("\nsever:\n  a: 1\n", 2), "unknown section `sever`; did you mean `server`?");
        assert_eq!(line("targets:\n- name: a\n- nam: b\n", 3), "unknown key `nam` in [targets]; did you mean `name`?");
        assert!(line("a: &a {b: 1}\nserver:\n  <<: *a\n", 1).starts_with("unknown section `a`"));
        assert!(line("traces:\n  endpoint: http://a\n\n  sampel: 1\n", 4).contains("did you mean `sample`?"));
        assert!(line("experiments: [{name: x}]\n", 1).contains("is planned"));
    }

    #[test]
    fn wrong_values_have_the_messages_of_toml() {
        assert_eq!(line("server:\n  max_messages: many\n", 2), "invalid type: string \"many\", expected usize");
        assert_eq!(line("server:\n\n  listen: 8080\n", 3), "invalid type: integer `8080`, expected a string");
        assert!(line("router:\n  objective: true\n", 2).starts_with("expected quality, balanced"));
        assert!(line("targets:\n- name: a\n  model: b\n", 2).contains("missing field `base_url`"));
        assert!(
            line("targets:\n- {name: a, timeouts: {connect: 1}}\n", 2)
                .contains("unknown key `connect` in [targets.timeouts]")
        );
        assert!(line("sessions:\n  stick: no\n", 2).contains("unknown variant `no`"));
        assert!(line("server: 3\n", 1).contains("expected struct"));
    }

    #[test]
    fn only_true_and_false_are_booleans() {
        for text in ["yes", "no", "on", "off", "y", "n", "tRUE"] {
            let target = format!("targets:\n- name: a\n  private_addresses: {text}\n");
            assert!(line(&target, 3).contains(&format!("string \"{text}\", expected a boolean")), "{text}");
        }
        assert_eq!(read("sessions: {stick: off}").expect("text").sessions.stick, Some(crate::config::StickKey::Off));
    }

    #[test]
    fn digests_and_moments_stay_text() {
        for digest in [
            "4ac6".repeat(16),
            "1234".repeat(16),
            format!("{}e{}", "1".repeat(20), "9".repeat(43)),
            format!("0{}", "7".repeat(63)),
        ] {
            let config = read(&format!("tenants:\n- name: a\n  key_sha256: [{digest}]\n")).expect("text");
            assert_eq!(config.tenants[0].key_sha256, [digest]);
        }
        let moment = "tenants:\n- {name: a, keys: [{sha256: 4ac6, expires: 2027-01-31T00:00:00Z}]}\n";
        let settings = read(&format!("router: {{path: r}}\n{moment}")).expect("text").into_settings().expect("valid");
        assert_eq!(settings.tenants[0].keys[0].expires.as_deref(), Some("2027-01-31T00:00:00Z"));
        // What is a number is none the less one, and says so.
        assert!(line("tenants:\n- name: a\n  key_sha256: [1234]\n", 3).contains("integer `1234`, expected a string"));
        assert!(
            line("tenants:\n- name: a\n  key_sha256: [1e5]\n", 3)
                .contains("floating point `100000.0`, expected a string")
        );
    }

    #[test]
    fn what_only_yaml_can_say_is_refused() {
        let none = "expected a value, got none; a key that is left out has its default";
        for (yaml, at, expected) in [
            ("server:\nrouter: {path: a}\n", 1, none),
            ("router:\n  path: ~\n", 2, none),
            ("router:\n  path: null\n", 2, none),
            (
                "router:\n  path: !!str 5\n",
                2,
                "tag `tag:yaml.org,2002:!str` is not read; what is text is put into quotes",
            ),
            ("router:\n  path: !include x\n", 2, "tag `!include` is not read; what is text is put into quotes"),
            ("router: {path: a}\n---\nrouter: {path: b}\n", 2, "expected one document, got a second one"),
            ("router:\n  path: a\n  path: b\n", 3, "duplicate key `path`"),
            ("router: {}\nlog: {}\nrouter: {}\n", 3, "duplicate key `router`"),
            ("? [a]\n: b\n", 1, "expected a key of text, got a list or a mapping"),
            ("aliases:\n  a: &b c\n  *b : d\n", 3, "expected a key of text, got an alias"),
            ("- a\n", 1, "expected sections by name"),
            ("just text\n", 1, "expected sections by name"),
            ("aliases: &a\n  b: *a\n", 2, "an alias stands within what it stands for"),
        ] {
            assert_eq!(line(yaml, at), expected, "{yaml}");
        }
        assert!(line("aliases:\n  b: *nowhere\n", 2).contains("anchor"));
        assert!(line("server:\n  listen: a\n router: b\n", 3).len() > 10);
        assert!(line("server:\n\tlisten: a\n", 2).contains("tab"));
        assert!(refusal("server: {listen: a\n").starts_with("configuration `p.yaml`, line "));
    }

    #[test]
    fn laughs_depths_and_lengths_are_bounded() {
        let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for i in 1..12 {
            let again = vec![format!("*a{}", i - 1); 9].join(", ");
            laughs = format!("{laughs}a{i}: &a{i} [{again}]\n");
        }
        assert!(refusal(&laughs).contains("aliases repeat more than 1024 KiB"));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 100].join(", "));
        assert!(refusal(&long).contains("aliases repeat more than"));
        let deep = "expected at most 32 levels of lists and mappings";
        assert!(refusal(&format!("a: {}{}", "[".repeat(40), "]".repeat(40))).contains(deep));
        assert!(refusal(&format!("a: {}", "[".repeat(100_000))).contains("recursion limit exceeded"));
        assert!(refusal(&format!("a:\n {}x\n", "- ".repeat(100_000))).contains(deep));
        // Deep by aliases alone.
        let mut ladder = "a0: &a0 [[[[[[[[x]]]]]]]]\n".to_owned();
        for i in 1..6 {
            ladder = format!("{ladder}a{i}: &a{i} [[[[[[[[*a{}]]]]]]]]\n", i - 1);
        }
        assert!(refusal(&ladder).contains(deep));
        let fits = format!("a: {}x{}", "[".repeat(31), "]".repeat(31));
        assert!(refusal(&fits).contains("unknown section `a`"));
    }

    #[test]
    fn whatever_the_text_there_is_an_answer() {
        let text = "é: &a [1, *a]\n? b\n: |2\n  c\n\"d\\x41\": !t {e: 'f', g}\n--- %\n...\r\n\u{feff}h: >-\n i\n";
        for (start, _) in text.char_indices() {
            for end in (start..=text.len()).filter(|end| text.is_char_boundary(*end)) {
                let _ = read(&text[start..end]);
            }
        }
    }
}
