//! Whole, well-formed files that are no artifact of ours, or not a valid one: each gives the error that says so.

use std::collections::HashMap;

use pointsman::Error;
use pointsman::artifact::{Artifact, Document, LEAF, SCHEMA_VERSION, Weights, identity};
use pointsman::features::FEATURE_VERSION;
use pointsman_tests::fixture::ARTIFACT;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use crate::refused;

/// The field at fault, and what makes it so.
type Edit = (&'static str, fn(&mut Document));

fn artifact() -> Artifact {
    Artifact::from_bytes(ARTIFACT, "fixture").expect("the fixture opens")
}

/// The fixture's tensors under an edited document, sealed anew, as a program that knows the format would do it.
fn with_document(edit: impl FnOnce(&mut Document)) -> Vec<u8> {
    let mut document = artifact().document;
    edit(&mut document);
    let json = serde_json::to_string(&document).expect("a document is JSON");
    let body = json.strip_suffix('}').expect("a document is a JSON object");
    let sealed = format!("{body},\"document_sha256\":\"{}\"}}", identity(body.as_bytes()));
    let tensors = SafeTensors::deserialize(ARTIFACT).expect("the fixture is safetensors").tensors();
    serialize(tensors, Some(HashMap::from([("pointsman".to_owned(), sealed)]))).expect("safetensors")
}

fn refused_document(edit: impl FnOnce(&mut Document)) -> Error {
    refused(&with_document(edit))
}

fn refused_weights(edit: impl FnOnce(&mut Weights)) -> Error {
    let mut artifact = artifact();
    edit(&mut artifact.weights);
    artifact.to_bytes().expect_err("not valid weights")
}

/// The fixture's tensors, edited, under its own sealed document.
fn with_tensors(edit: impl FnOnce(&mut Vec<(String, TensorView<'_>)>)) -> Vec<u8> {
    let (_, header) = SafeTensors::read_metadata(ARTIFACT).expect("the fixture is safetensors");
    let tensors = SafeTensors::deserialize(ARTIFACT).expect("the fixture is safetensors");
    let mut tensors = tensors.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    edit(&mut tensors);
    serialize(tensors, header.metadata().clone()).expect("edited tensors are safetensors too")
}

#[test]
fn the_helper_changes_nothing_by_itself() {
    Artifact::from_bytes(&with_tensors(|_| ()), "x").expect("the same tensors under the same document open");
    Artifact::from_bytes(&with_document(|_| ()), "x").expect("the same document sealed anew opens");
}

#[test]
fn newer_versions() {
    let error = refused_document(|document| document.schema_version = SCHEMA_VERSION + 1);
    assert!(matches!(error, Error::Newer { what: "schema version", .. }), "{error}");
    let error = refused_document(|document| document.feature_version = FEATURE_VERSION + 1);
    assert!(matches!(error, Error::Newer { what: "feature version", .. }), "{error}");
}

/// No version 0 was ever released, and weights learned on other features than today's would predict nonsense.
#[test]
fn older_versions_that_never_were() {
    let edits: [fn(&mut Document); 2] =
        [|document| document.schema_version = 0, |document| document.feature_version = 0];
    for edit in edits {
        let error = refused_document(edit);
        assert!(matches!(error, Error::OutOfDomain { .. }), "{error}");
    }
}

#[test]
fn documents_outside_their_domains() {
    #[rustfmt::skip]
    let edits: Vec<Edit> = vec![
        ("models", |document| document.models[1] = document.models[0].clone()),
        ("tasks", |document| document.tasks.clear()),
        ("dimensions.vocabulary_bits", |document| document.dimensions.vocabulary_bits = 64),
        ("dimensions.outcomes", |document| document.dimensions.outcomes = 0),
        ("dimensions.trees", |document| document.dimensions.trees = usize::MAX),
        ("dimensions.nodes", |document| document.dimensions.nodes = usize::MAX),
        ("dimensions.leaves", |document| document.dimensions.leaves = usize::MAX),
        ("decision.novelty_weight", |document| document.decision.novelty_weight = 1.1),
        ("decision.trust", |document| document.decision.trust = -0.1),
        ("decision.confidence", |document| document.decision.confidence = -1.0),
        ("decision.novelty_limit", |document| document.decision.novelty_limit = 1.5),
        ("decision.default_lambda", |document| document.decision.default_lambda = Some(-1.0)),
        ("costs", |document| document.costs.truncate(1)),
        ("costs.tokens_per_char", |document| document.costs[0].tokens_per_char = -1.0),
        ("statics", |document| document.statics.truncate(1)),
        ("statics.quality", |document| document.statics[0].quality = 1.01),
        ("statics.cost_usd", |document| document.statics[0].cost_usd = Some(-1.0)),
        ("curve", |document| document.curve.clear()),
        ("curve", |document| document.curve[0].quality = 2.0),
        ("curve.shares", |document| document.curve[0].shares.clear()),
        ("task_profiles", |document| document.task_profiles.clear()),
    ];
    for (expected, edit) in edits {
        match refused_document(edit) {
            Error::OutOfDomain { field, .. } => assert_eq!(field, expected),
            other => panic!("{expected}: {other}"),
        }
    }
}

#[test]
fn numbers_that_json_cannot_hold() {
    // Infinity and NaN become null, which a number is not.
    let error = refused_document(|document| document.decision.confidence = f64::NAN);
    assert!(matches!(error, Error::Document { .. }), "{error}");
}

#[test]
fn weights_that_are_no_numbers() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e7] {
        let error = refused_weights(|weights| weights.contrast[0] = bad);
        assert!(matches!(&error, Error::OutOfDomain { field, .. } if field == "table.contrast"), "{error}");
    }
    let error = refused_weights(|weights| weights.contrast_variance[0] = -1.0);
    assert!(matches!(&error, Error::OutOfDomain { field, .. } if field == "table.variance"), "{error}");
    let error = refused_weights(|weights| weights.table_scale[0] = 0.0);
    assert!(matches!(&error, Error::OutOfDomain { field, .. } if field == "lexical.scale"), "{error}");
}

#[test]
fn forests_with_paths_that_do_not_end_in_a_leaf() {
    let inner = artifact().weights.node_signal.iter().position(|signal| *signal != LEAF).expect("a tree with a split");
    let leaf = artifact().weights.node_signal.iter().position(|signal| *signal == LEAF).expect("a leaf");
    let field_of = |edit: &dyn Fn(&mut Weights)| match refused_weights(edit) {
        Error::OutOfDomain { field, .. } => field,
        other => panic!("{other}"),
    };
    for child in [0, u32::try_from(inner).expect("a small forest"), u32::MAX - 1, u32::MAX] {
        assert_eq!(field_of(&|weights| weights.node_child[inner] = child), "forest.child");
    }
    assert_eq!(field_of(&|weights| weights.node_child[leaf] = u32::MAX), "forest.child");
    assert_eq!(field_of(&|weights| weights.node_signal[inner] = 1_000), "forest.signal");
    assert_eq!(field_of(&|weights| weights.root[0] = u32::MAX), "forest.root");
}

#[test]
fn wrong_shapes() {
    let error = refused_document(|document| document.dimensions.nodes += 1);
    assert!(matches!(error, Error::TensorShape { tensor: "forest.signal", .. }), "{error}");
    for tensor in ["posterior.bias", "lexical.table", "forest.root", "forest.signal"] {
        let bytes = with_tensors(|tensors| {
            let (_, view) = tensors.iter_mut().find(|(name, _)| name == tensor).expect("the tensor is there");
            // The same bytes under a shape of one axis more.
            let shape = [view.shape(), &[1]].concat();
            *view = TensorView::new(view.dtype(), shape, view.data()).expect("the size is the same");
        });
        let error = refused(&bytes);
        assert!(matches!(error, Error::TensorShape { tensor: found, .. } if found == tensor), "{error}");
    }
    let bytes = with_tensors(|tensors| {
        let (_, view) = tensors.iter_mut().find(|(name, _)| name == "lexical.table").expect("the tensor is there");
        *view = TensorView::new(Dtype::U8, view.shape().to_vec(), view.data()).expect("the size is the same");
    });
    assert!(matches!(refused(&bytes), Error::TensorShape { tensor: "lexical.table", .. }));
}

#[test]
fn missing_tensors() {
    let names: Vec<String> =
        SafeTensors::deserialize(ARTIFACT).expect("safetensors").names().into_iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), 25);
    for name in names {
        let error = refused(&with_tensors(|tensors| tensors.retain(|(other, _)| *other != name)));
        assert!(matches!(error, Error::MissingTensor { tensor, .. } if tensor == name), "{error}");
    }
}

#[test]
fn tensors_of_another_router_under_this_document() {
    let mut other = artifact();
    other.weights.lexical_bias[0] += 0.5;
    let other = other.to_bytes().expect("another valid router");
    let (_, header) = SafeTensors::read_metadata(ARTIFACT).expect("the fixture is safetensors");
    let tensors = SafeTensors::deserialize(&other).expect("safetensors").tensors();
    let bytes = serialize(tensors, header.metadata().clone()).expect("safetensors");
    assert!(matches!(refused(&bytes), Error::Checksum { part: "tensors", .. }));
}

#[test]
fn documents_edited_in_place() {
    let edit = |from: &str, to: &str| {
        let text =
            ARTIFACT.windows(from.len()).position(|window| window == from.as_bytes()).expect("the text is there");
        let mut bytes = ARTIFACT.to_vec();
        bytes[text..text + to.len()].copy_from_slice(to.as_bytes());
        refused(&bytes)
    };
    let error = edit(r#"\"mode\":\"learned\""#, r#"\"mode\":\"learneD\""#);
    assert!(matches!(error, Error::Checksum { part: "document", .. }), "{error}");
    let error = edit("document_sha256", "document_sha257");
    assert!(matches!(error, Error::Checksum { part: "document", .. }), "{error}");
}

#[test]
fn somebody_elses_files() {
    let data = [0_u8; 16];
    let view = || TensorView::new(Dtype::F32, vec![4], &data).expect("four floats");
    let bare = serialize([("weight", view())], None).expect("safetensors");
    assert!(matches!(refused(&bare), Error::NoDocument { .. }));
    let metadata = |key: &str, value: &str| Some(HashMap::from([(key.to_owned(), value.to_owned())]));
    let theirs = serialize([("weight", view())], metadata("format", "pt")).expect("safetensors");
    assert!(matches!(refused(&theirs), Error::NoDocument { .. }));
    let namesake = serialize([("weight", view())], metadata("pointsman", "hello")).expect("safetensors");
    assert!(matches!(refused(&namesake), Error::Checksum { part: "document", .. }));
    let pretend =
        serialize([("weight", view())], metadata("pointsman", ",\"document_sha256\":\"")).expect("safetensors");
    assert!(matches!(refused(&pretend), Error::Checksum { part: "document", .. }));
    for other in
        [&b""[..], b"PK\x03\x04", b"PAR1", b"{}", &[0; 8], &[0xff; 64], b"<!doctype html><html>not found</html>"]
    {
        assert!(matches!(refused(other), Error::NotSafetensors { .. }));
    }
}
