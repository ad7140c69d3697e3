//! Configurations that are taken, and those that are not.

use pointsman::Objective;

use super::*;
use crate::traces::TraceProtocol;

fn refusal(text: &str) -> String {
    Config::parse(text, Path::new("p.toml")).expect_err("refused").to_string()
}

#[test]
fn every_key_is_taken() {
    let text = r#"
        [server]
        listen = "127.0.0.1:1"
        admin_listen = "off"
        admin_key_sha256 = ["00"]
        max_body_bytes = 1
        max_line_bytes = 2
        max_messages = 3
        max_in_flight = 4
        max_buffered_bytes = 7
        read_timeout_ms = 5
        drain_timeout_ms = 6
        [router]
        path = "r.safetensors"
        sha256 = "00"
        objective = 0.5
        [log]
        format = "json"
        level = "debug"
        [traces]
        endpoint = "http://localhost:4318"
        protocol = "grpc"
        sample = 0.25
        service_name = "gate"
        headers_env = { "x-package" = "CARGO_PKG_NAME" }
    "#;
    let config = Config::parse(text, Path::new("p.toml")).expect("every key is known");
    assert_eq!(config.log.format, Some(LogFormat::Json));
    let settings = config.into_settings().expect("valid");
    assert_eq!((settings.listen.as_str(), settings.admin_listen), ("127.0.0.1:1", None));
    assert_eq!(settings.admin_key_sha256, ["00"]);
    assert_eq!((settings.max_body_bytes, settings.max_line_bytes), (1, 2));
    assert_eq!((settings.max_messages, settings.max_in_flight, settings.max_buffered_bytes), (3, 4, 7));
    assert_eq!(settings.read_timeout, Duration::from_millis(5));
    assert_eq!(settings.drain_timeout, Duration::from_millis(6));
    assert_eq!(settings.router_sha256.as_deref(), Some("00"));
    assert_eq!(settings.objective, Objective::Lambda(0.5));
    let traces = settings.traces.expect("given");
    assert_eq!((traces.endpoint.as_str(), traces.service_name.as_str()), ("http://localhost:4318", "gate"));
    assert_eq!((traces.protocol, traces.sample), (Some(TraceProtocol::Grpc), 0.25));
    assert_eq!(traces.headers["x-package"], "pointsman-server");
}

/// A configuration as a new user would write it down from the documentation: every table, most keys.
#[test]
fn a_whole_gateway_is_taken() {
    let text = r#"
        [server]
        listen = "127.0.0.1:8080"
        admin_listen = "127.0.0.1:8081"
        [router]
        path = "router.safetensors"
        objective = "balanced"
        [[targets]]
        name = "openai-eu"
        model = "gpt-4o-2024-05-13"
        base_url = "https://api.example.com/v1"
        upstream_model = "gpt-4o"
        api_key_env = "CARGO_PKG_NAME"
        region = "eu"
        capabilities = ["tools", "vision", "json"]
        context_length = 128000
        price = { input_usd_per_mtok = 5.0, output_usd_per_mtok = 15.0, cached_input_usd_per_mtok = 2.5 }
        timeouts = { connect_ms = 2000, first_token_ms = 20000, idle_ms = 30000, total_ms = 600000 }
        [aliases]
        "chat-fast" = "Phi-3-mini-4k-instruct"
        [[policies]]
        name = "free-plan"
        when = 'context.plan == "free"'
        deny = ["gpt-4*"]
        objective = "cheap"
        [[tenants]]
        name = "acme"
        key_sha256 = ["4ac6"]
        models = ["*"]
        budget_usd_per_day = 50.0
        requests_per_minute = 600
        tokens_per_minute = 200000
    "#;
    let config = Config::parse(text, Path::new("p.toml")).expect("every key is known");
    let settings = config.into_settings().expect("valid");
    let price = settings.targets[0].price.expect("given");
    assert_eq!(price.cached_input_usd_per_mtok, Some(2.5));
    assert!((price.cost_usd(1_000_000, 600_000, 100_000) - (2.0 + 1.5 + 1.5)).abs() < 1e-12);
}

#[test]
fn traces_need_an_address_and_the_headers_that_are_named() {
    assert!(refusal("[traces]\nsample = 1.0\n").contains("missing field `endpoint`"));
    assert!(refusal("[traces]\nendpoint = \"http://a\"\nsampel = 1.0\n").contains("line 3: unknown key `sampel`"));
    let unset =
        "[router]\npath = \"r\"\n[traces]\nendpoint = \"http://a\"\nheaders_env = { a = \"NOT_SET_ANYWHERE\" }\n";
    let error = Config::parse(unset, Path::new("p.toml")).and_then(Config::into_settings).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "settings: `traces.headers_env` expected the name of an environment variable that is set, got NOT_SET_ANYWHERE"
    );
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    assert_eq!(
        refusal("[server]\nlisten = \"a\"\nmax_body = 3\n"),
        "configuration `p.toml`, line 3: unknown key `max_body` in [server]; did you mean `max_body_bytes`?"
    );
    assert_eq!(
        refusal("[[targets]]\nquantisation = \"fp8\"\n"),
        "configuration `p.toml`, line 2: unknown key `quantisation` in [targets]; did you mean `quantization`?"
    );
    assert_eq!(
        refusal("[log]\ncolour = true\n"),
        "configuration `p.toml`, line 2: unknown key `colour` in [log], which takes format, level, prompts"
    );
    for (text, message) in [
        (
            "[[targets]]\nprice = { input_usd_per_mtokens = 1.0 }\n",
            "unknown key `input_usd_per_mtokens` in [targets.price]; did you mean `input_usd_per_mtok`?",
        ),
        (
            "[[targets]]\n[targets.timeouts]\ntotal = 1\n",
            "unknown key `total` in [targets.timeouts]; did you mean `total_ms`?",
        ),
        (
            "[[tenants]]\n[[tenants.keys]]\nexpire = 1\n",
            "unknown key `expire` in [tenants.keys]; did you mean `expires`?",
        ),
    ] {
        let refused = refusal(text);
        assert!(refused.ends_with(message), "{refused}");
    }
    assert_eq!(
        refusal("\n[sever]\n"),
        "configuration `p.toml`, line 2: unknown section `sever`; did you mean `server`?"
    );
}

#[test]
fn sections_that_are_planned_are_refused_as_such() {
    assert_eq!(
        refusal("[[experiments]]\nname = \"x\"\n"),
        "configuration `p.toml`, line 1: section `experiments` is planned and not there yet; remove it to serve decisions"
    );
}

#[test]
fn rules_and_tenants_are_read() {
    let digest = "0".repeat(64);
    let text = format!(
        r#"
        [router]
        path = "r"
        [[policies]]
        name = "p"
        when = "hour < 6"
        allow = ["a*"]
        deny = ["b"]
        objective = "cheap"
        max_cost_usd = 1
        min_quality = 0.5
        max_latency_ms = 900
        region = "eu"
        split = {{ "small" = 90, "large" = 9.5 }}
        refuse = "no"
        [[tenants]]
        name = "t"
        keys = [{{ sha256 = "{digest}", expires = "2027-01-31T00:00:00Z" }},
            {{ sha256 = "1", expires = 2027-01-31T01:00:00+01:00 }}, {{ sha256 = "2" }}]
        models = ["a*"]
        objective = 0.5
        max_in_flight = 4
        requests_per_minute = 5
        tokens_per_minute = 6
        budget_usd_per_day = 7
        "#
    );
    let settings = Config::parse(&text, Path::new("p.toml")).and_then(Config::into_settings).expect("valid");
    let policy = &settings.policies[0];
    assert_eq!((policy.max_cost_usd, policy.min_quality, policy.max_latency_ms), (Some(1.0), Some(0.5), Some(900.0)));
    assert_eq!((policy.region.as_deref(), policy.refuse.as_deref()), (Some("eu"), Some("no")));
    assert_eq!(policy.split, BTreeMap::from([("large".to_owned(), 9.5), ("small".to_owned(), 90.0)]));
    let tenant = &settings.tenants[0];
    let expires: Vec<_> = tenant.keys.iter().map(|key| key.expires.as_deref()).collect();
    assert_eq!(expires, [Some("2027-01-31T00:00:00Z"), Some("2027-01-31T01:00:00+01:00"), None]);
    assert_eq!((&tenant.objective, tenant.max_in_flight), (&Some(Objective::Lambda(0.5)), Some(4)));
    assert!(tenant.key_sha256.is_empty());
    let refused = |more: &str| refusal(&format!("[[tenants]]\nname = 't'\n{more}"));
    assert!(
        refused("keys = [{ sha256 = '1', expire = 1 }]")
            .contains("line 3: unknown key `expire` in [tenants.keys]; did you mean `expires`?")
    );
    assert!(refused("keys = [{ sha256 = '1', expires = 1 }]").contains("expected a moment in RFC 3339"));
    assert!(refused("max_inflight = 1").contains("did you mean `max_in_flight`?"));
    assert!(refusal("[[policies]]\nname = 'p'\nspit = { a = 1 }").contains("did you mean `split`?"));
    assert!(refusal("[[policies]]\nname = 'p'\nsplit = { a = 'x' }").contains("line 3"));
}

#[test]
fn aliases_have_names_of_the_operators_own() {
    let text = "[router]\npath = \"r\"\n[aliases]\n\"chat-fast\" = \"small\"\nsmart = \"auto:quality\"\n";
    let settings = Config::parse(text, Path::new("p.toml")).and_then(Config::into_settings).expect("valid");
    assert_eq!(settings.aliases["chat-fast"], "small");
    assert!(refusal("[aliases]\na = 1\n").contains("line 2"));
}

#[test]
fn a_wrong_value_is_named_with_its_line() {
    assert_eq!(
        refusal("[server]\n\nmax_messages = \"many\"\n"),
        "configuration `p.toml`, line 3: invalid type: string \"many\", expected usize"
    );
    assert!(refusal("[router]\nobjective = true\n").contains("line 2: expected quality, balanced, cheap, fast"));
    assert!(refusal("[server\n").starts_with("configuration `p.toml`, line 1: "));
}

#[test]
fn the_path_of_the_router_is_needed() {
    assert!(matches!(Config::default().into_settings(), Err(Error::NoRouter)));
}

#[test]
fn a_secret_may_be_in_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.toml");
    let read = |more: &str| {
        std::fs::write(&path, format!("[router]\npath = \"r\"\n{more}\n")).expect("written");
        Config::read(&path).and_then(Config::into_settings)
    };
    let traces = |headers: &str| read(&format!("[traces]\nendpoint = \"http://a\"\n{headers}"));
    let target =
        |key: &str| read(&format!("[[targets]]\nname = \"a\"\nmodel = \"m\"\nbase_url = \"http://localhost\"\n{key}"));
    std::fs::write(folder.path().join("key"), "  sk-1\r\n").expect("written");
    std::fs::write(folder.path().join("empty"), "\n").expect("written");
    std::fs::write(folder.path().join("long"), "x".repeat(70_000)).expect("written");
    // In the folder of the configuration, and without the line's end.
    let settings = traces("headers_file = { authorization = \"key\" }").expect("valid");
    assert_eq!(settings.traces.expect("given").headers["authorization"], "sk-1");
    for (keys, message) in [
        ("headers_file = { a = \"nowhere\" }", "`traces.headers_file` expected a file that can be read"),
        ("headers_file = { a = \"key\" }\nheaders_env = { a = \"PATH\" }", "expected one place for each header"),
    ] {
        let refused = traces(keys).expect_err("refused").to_string();
        assert!(refused.contains(message), "{refused}");
    }
    let settings = target("api_key_file = \"key\"").expect("valid");
    assert_eq!(settings.targets[0].api_key.as_deref(), Some("sk-1"));
    for (more, message) in [
        ("api_key_file = \"nowhere\"", "api_key_file expected a file that can be read, with the secret"),
        ("api_key_file = \"empty\"", "api_key_file expected a file"),
        ("api_key_file = \"long\"", "api_key_file expected a file"),
        ("api_key_file = \"key\"\napi_key_env = \"PATH\"", "api_key_file expected one place for the key"),
    ] {
        let refused = target(more).expect_err("refused").to_string();
        assert!(refused.contains(message), "{refused}");
    }
}
