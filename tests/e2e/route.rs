//! `route` with one prompt: bare, as JSON, explained, under objectives and limits.

use crate::workbench::Workbench;

const PROMPT: &str = "Write a function in Python that returns the longest run of equal items in a list.";

fn models(bench: &Workbench) -> Vec<String> {
    let shown = bench.run(&["show", "router.safetensors", "--json"]).done().json();
    shown["models"].as_array().expect("models").iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

#[test]
fn the_three_ways_of_printing_agree() {
    let bench = Workbench::with_router();
    let ask = |more: &[&str]| bench.run(&[&["route", "router.safetensors", PROMPT], more].concat()).done();
    let bare = ask(&[]).stdout;
    let choice = bare.trim_end();
    assert!(models(&bench).iter().any(|model| model == choice), "{choice}");
    let json = ask(&["--json"]).json();
    assert_eq!(json["model"], choice);
    assert_eq!(json["ranked"][0]["model"], choice);
    assert_eq!(json["ranked"].as_array().map(Vec::len), Some(3));
    let explained = ask(&["--explain"]).stdout;
    assert_eq!(explained.lines().next(), Some(choice));
    for part in ["reason", "objective", "expected quality", "looks like", "novelty"] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
}

#[test]
fn objectives_and_lists_reach_the_decision() {
    let bench = Workbench::with_router();
    let models = models(&bench);
    for model in &models {
        let run = bench.run(&["route", "router.safetensors", PROMPT, "--allow", model, "--json"]).done().json();
        assert_eq!(run["model"], model.as_str());
        assert_eq!(run["reason"], "only_candidate");
        let run = bench.run(&["route", "router.safetensors", PROMPT, "--deny", model, "--json"]).done().json();
        assert_ne!(run["model"], model.as_str());
    }
    for objective in ["quality", "balanced", "cheap", "fast", "default", "0", "0.01", "inf"] {
        bench.run(&["route", "router.safetensors", PROMPT, "--objective", objective]).done();
    }
    let run = bench.run(&["route", "router.safetensors", PROMPT, "--max-cost", "0", "--json"]).done().json();
    assert_eq!(run["reason"], "limits_unmet");
    assert!(run["ranked"].as_array().expect("models").iter().all(|entry| entry["excluded_by"] == "max_cost"));
}

#[test]
fn any_argument_is_a_prompt() {
    let bench = Workbench::with_router();
    for prompt in ["", " ", "请用三句话解释光合作用", "🚂🔀", "a\nb\tc", "--", "$(rm -rf /)"] {
        let run = bench.run(&["route", "router.safetensors", "--", prompt]).done();
        assert_eq!(run.stdout.lines().count(), 1, "{prompt:?}");
    }
}

#[test]
fn a_configuration_decides_by_its_policies_and_says_why() {
    let bench = Workbench::with_router();
    let shown = bench.run(&["show", "router.safetensors", "--json"]).done().json();
    let dear = shown["models"][2].as_str().expect("a model").to_owned();
    let config = format!(
        "[router]\npath = \"elsewhere.safetensors\"\n[[policies]]\nname = \"free-plan\"\nwhen = 'context.plan == \"free\"'\ndeny = [\"{dear}\"]\n"
    );
    bench.write("gateway.toml", &config);
    let route =
        |more: &[&str]| bench.run(&[&["route", "router.safetensors", "--config", "gateway.toml"], more].concat());
    let explained = route(&["--explain", "hello"]).done().stdout;
    assert!(explained.contains("free-plan") && explained.contains("yes, to be safe"), "{explained}");
    let told = route(&["--json", "hello"]).done().json();
    assert_eq!((told["policy"].as_str(), told["decision"]["policy"].as_str()), (Some("free-plan"), Some("free-plan")));
    assert!(!bench.path("pointsman.db").exists(), "trying keeps nothing");
    let when = r#""beta" in tags && device == "mobile" && locale == "de" && hour == 9"#;
    bench.write("tagged.toml", config.replace(r#"context.plan == "free""#, when));
    let tagged = |more: &[&str]| {
        let usual = ["route", "router.safetensors", "--config", "tagged.toml", "--json", "hello", "--tags", "a,beta"];
        bench.run(&[&usual, more].concat())
    };
    let phone = ["--user-agent", "Mozilla/5.0 (iPhone) Mobile", "--locale", "de"];
    let told = tagged(&[&phone[..], &["--time", "2027-01-31T09:30:00Z"]].concat()).done().json();
    assert_eq!(told["policy"], "free-plan");
    let seen = serde_json::json!({ "device": "mobile", "hour": 9, "locale": "de", "tags": ["a", "beta"] });
    assert_eq!(told["variables"], seen);
    let told = tagged(&[&phone[..], &["--time", "2027-01-31T10:30:00Z"]].concat()).done().json();
    assert!(told["policy"].is_null());
    let refused = tagged(&["--time", "soon"]);
    assert!(refused.stderr.contains("time: expected a moment in RFC 3339"), "{}", refused.stderr);
    bench.write("bad.toml", config.replace("context.plan ==", "plan =="));
    let refused = bench.run(&["route", "router.safetensors", "--config", "bad.toml", "hello"]);
    assert_eq!(refused.status, Some(2));
    assert!(refused.stderr.contains("policy `free-plan`: when expected context, tenant"), "{}", refused.stderr);
}
