"""Run as a script by `dicom_stream.decode_elsewhere`: a DICOM file on stdin, its pixels as .npy on stdout.

In a process of its own, because these decoders abort on some damaged streams. argv: the name of pydicom's decoder.
"""

import io
import sys


def main() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except ImportError:
        pass  # Windows has no such limits; the time limit of the caller holds
    import numpy as np
    from pydicom import dcmread

    header = dcmread(io.BytesIO(sys.stdin.buffer.read()))
    header.pixel_array_options(decoding_plugin=sys.argv[1])
    npy = io.BytesIO()
    np.save(npy, header.pixel_array, allow_pickle=False)
    sys.stdout.buffer.write(npy.getvalue())


if __name__ == "__main__":
    main()
