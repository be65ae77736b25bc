"""Values in which the method files of a recipe differ from the template's."""

SPEC_AUGMENT = """\
!new:petl_modules.data.SpecAugment
    freq: {freq}
    time: {time}"""
IPET_HEAD = {
    "embedding_size": "128",
    "loss": "!name:torch.nn.functional.cross_entropy",
}
# By folder, the published learning rates of the head, the L-adapters, and the
# E-adapters and norms on the nearest task (the template's: spoken commands)
EL_RATES = {
    "IEMOCAP": ("5.0e-4", "1.0e-4", "5.0e-5"),
    "LibriSpeech": ("2.0e-3", "1.0e-3", "1.0e-3"),
    "speech_recognition": ("2.0e-3", "1.0e-3", "1.0e-3"),
    "VoxCeleb1": ("5.0e-4", "1.0e-4", "1.0e-5"),
    "speaker_verification": ("5.0e-4", "1.0e-4", "1.0e-5"),
}
TEST_FEATURES = """\
!new:petl_modules.data.{}
    seconds: !ref <test_seconds>
    mel_bins: !ref <mel_bins>
    normalize: !ref <do_normalize>
    sample_rate: !ref <sample_rate>"""
# By recipe and file: values of keys other than the template's, as YAML. Keys
# that the template's file lacks are added to its first values
REPLACED = {
    **{
        (recipe, "conformer.yaml"): {"kernel_size": "31"}
        for recipe in ("FSC", "FSDD", "GSC", "IEMOCAP")
    },
    ("ESC50", "ipet.yaml"): {
        "batch_size": "48",
        "frames": "512",
        "augment": SPEC_AUGMENT.format(freq=24, time=96),
    },
    ("ESC50", "ipet_wav2vec2.yaml"): {
        "prompts": "128",
        "reduction": "6",
        "lr": "2.5e-3",
        "batch_size": "48",
    },
    ("GSC", "ipet.yaml"): {
        "reduction": "6",
        "lr": "5.0e-3",
        "mixup": "0.5",
        "batch_size": "128",
        "frames": "128",
        "augment": SPEC_AUGMENT.format(freq=48, time=48),
    },
    ("GSC", "ipet_wav2vec2.yaml"): {"batch_size": "64"},
    ("GTZAN", "ipet.yaml"): {
        "prompts": "8",
        "reduction": "12",
        "lr": "4.5e-3",
        "mixup": "0.3",
    },
    ("GTZAN", "ipet_wav2vec2.yaml"): {
        "prompts": "128",
        "lr": "5.0e-3",
        "mixup": "0.3",
    },
    **{
        (recipe, "ipet.yaml"): {
            "reduction": "12",
            "lr": "5.0e-4",
            "pool": "!new:petl_modules.models.MeanPooling",
            **IPET_HEAD,
        }
        for recipe in ("VoxCeleb1", "speaker_verification")
    },
    **{
        (recipe, "ipet_wav2vec2.yaml"): {"reduction": "6", **IPET_HEAD}
        for recipe in ("VoxCeleb1", "speaker_verification")
    },
    **{
        (recipe, "w2v_bert.yaml"): {
            "    seconds": "null",
            "    tokens": "speech",
        }
        for recipe in ("LibriSpeech", "speech_recognition")
    },
    **{
        (recipe, "w2v_bert.yaml"): {
            "test_features": TEST_FEATURES.format("StackedFilterBank")
        }
        for recipe in ("VoxCeleb1", "speaker_verification")
    },
    **{
        (recipe, "whisper.yaml"): {
            "test_windows": "5         # evenly spaced; their mean is the clip",
            "test_seconds": "!ref <seconds>",
            "test_features": TEST_FEATURES.format("WhisperLogMel"),
        }
        for recipe in ("VoxCeleb1", "speaker_verification")
    },
    **{
        (folder, f"{name}.yaml"): {"lr": head, **parts}
        for folder, (head, layer, adapter) in EL_RATES.items()
        for name, parts in {
            "e_adapter": {"    adapters": adapter, "    norms": adapter},
            "l_adapter": {"    layers": layer},
            "el_adapters": {
                "    layers": layer,
                "    adapters": adapter,
                "    norms": adapter,
            },
        }.items()
    },
}
