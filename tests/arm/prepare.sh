#!/usr/bin/env bash
# Fills a folder with what the tests here need: emulators, two boards' root file systems with the
# wheels a board installs, and a kernel with a camera driver. Nothing is installed on this machine
# but mmdebstrap and cpio. Each part is made once; edgecnn itself anew on every call.
#
#     tests/arm/prepare.sh .cache/arm [programs]
#
# With `programs`, what only a whole machine needs is left out.
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1" && cd "$1"

# Only this archive: the roots serve no network, and the security archive may be in mid-update.
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
python=$project/.venv/bin/python
pip=("$python" -m pip --quiet --disable-pip-version-check)

# wheels VERSION ARGUMENTS: pip install for that Python, without this machine's.
wheels() {
  "${pip[@]}" install --no-compile --only-binary=:all: --implementation cp --python-version "$1" \
    --abi "cp${1/./}" --abi abi3 --abi none -c "$project/constraints.txt" --target . "${@:2}"
}

# once NAME COMMAND...: runs COMMAND in a folder that is named NAME when it has succeeded.
once() {
  if [ ! -d "$1" ]; then
    echo "Preparing $1"
    rm -rf "$1.part" && mkdir "$1.part"
    (cd "$1.part" && "${@:2}")
    mv "$1.part" "$1"
  fi
}

# debian SUITE ARCHITECTURE PACKAGES: unpacks packages and what they depend on, and runs none of
# their scripts, which would need the other processor.
debian() {
  mmdebstrap --quiet --variant=extract --aptopt='Acquire::Retries "3"' --architectures="$2" \
    --include="$3" "$1" . "$mirror"
  # Debian 13's packages leave these links to base-files.
  for folder in bin lib; do [ -e "$folder" ] || ln -s "usr/$folder" .; done
}

# Debian 12's emulators are too old: engines crash in its qemu-user 7.2.
emulators() {
  debian trixie amd64 qemu-user,qemu-system-arm
  find usr/bin -name 'qemu-*' ! -name qemu-arm ! -name qemu-x86_64 ! -name '*-aarch64' -delete
}

# The two 64-bit Raspberry Pi OS in use are Debian 12 and 13.
board12() {
  debian bookworm arm64 python3.11,libgomp1,libstdc++6
}

board13() {
  local camera=python3-libcamera,libcamera-ipa,python3-numpy,python3-pil,python3-piexif,python3-prctl
  debian trixie arm64 python3.13,libgomp1,libstdc++6,python3-venv,ca-certificates,openssh-server,$camera
  # What its script would make; pip does not start without.
  cat usr/share/ca-certificates/mozilla/*.crt >etc/ssl/certs/ca-certificates.crt
}

# tflite-runtime is the only engine with a 32-bit wheel; numpy and OpenCV have none.
board32() {
  debian bookworm armhf python3.11,libgomp1,libstdc++6,python3-numpy,python3-opencv,python3-psutil
  # The links that update-alternatives would have made.
  ln -s blas/libblas.so.3 lapack/liblapack.so.3 usr/lib/arm-linux-gnueabihf/
}

aarch64=(--platform manylinux2014_aarch64)
for glibc in 17 27 28 34; do aarch64+=(--platform "manylinux_2_${glibc}_aarch64"); done

light=(numpy opencv-python-headless click rich psutil ai-edge-litert)
wheels12() { wheels 3.11 "${aarch64[@]}" "${light[@]}" onnxruntime; }
wheels13() { wheels 3.13 "${aarch64[@]}" "${light[@]}" onnxruntime; }

# For a board without internet, as docs/deploy.md says.
carried13() {
  "${pip[@]}" download --dest . --only-binary=:all: --python-version 3.13 "${aarch64[@]}" \
    -c "$project/constraints.txt" "${light[@]}"
}

# What a 64-bit board gets that takes the old engine and a new numpy.
mismatched12() { wheels 3.11 "${aarch64[@]}" --no-deps tflite-runtime==2.14.0; }

wheels32() {
  wheels 3.11 --platform manylinux_2_34_armv7l --no-deps \
    tflite-runtime==2.14.0 click rich markdown-it-py mdurl Pygments
}

# picamera2 as in Raspberry Pi OS, for the virtual camera of Debian's libcamera. What is changed is
# what a Raspberry Pi has and that camera has not: a raw stream, a heap for DMA, the bytes used of a
# frame. What is stubbed is not used here: it writes raw photographs and shows windows.
camera13() {
  wheels 3.13 "${aarch64[@]}" --no-deps picamera2==0.3.38 simplejpeg==1.9.0 videodev2==0.0.4
  sed -i -e '/def _get_raw_modes/,/return/ s/StreamRole.Raw/StreamRole.VideoRecording/' \
    -e 's/import DmaAllocator/import LibcameraAllocator/' \
    -e 's/DmaAllocator()/LibcameraAllocator(self.camera)/' picamera2/picamera2.py
  sed -i 's/+ p_metadata.bytes_used$/+ (p_metadata.bytes_used or p.length)/' \
    picamera2/allocators/allocator.py
  mkdir pidng && touch pidng/__init__.py
  echo 'PICAM2DNG = None' >pidng/core.py
  echo 'Picamera2Camera = None' >pidng/camdefs.py
  printf 'import sys\nfrom unittest.mock import Mock\nsys.modules[__name__] = Mock()\n' >pykms.py
}

# A stock kernel, of which only the drivers of a virtual camera and network are kept, in loading order.
kernel13() {
  debian trixie arm64 linux-image-arm64,kmod,liblzma5,v4l-utils,busybox-static
  local version
  version=$(ls lib/modules)
  kmod() { "$OLDPWD/emulators/usr/bin/qemu-aarch64" -L . -0 "$1" bin/kmod "${@:2}"; }
  kmod depmod -b . "$version"
  mkdir modules
  for driver in vivid virtio_net; do
    kmod modprobe -d . -S "$version" --show-depends "$driver"
  done | awk '{print $2}' | nl -nrz -w2 -s' ' | while read -r number module; do
      "$python" -c 'import lzma, sys; sys.stdout.buffer.write(lzma.open(sys.argv[1]).read())' \
        "$module" >"modules/$number-$(basename "$module" .xz)"
    done
  mv boot/vmlinuz-* vmlinuz
  rm -rf boot lib/modules lib/firmware
}

needed=()
command -v mmdebstrap >/dev/null || needed+=(mmdebstrap)
command -v cpio >/dev/null || needed+=(cpio)
if [ ${#needed[@]} -gt 0 ]; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${needed[@]}"
fi

parts=(emulators board12 board13 board32 wheels12 wheels13 mismatched12 wheels32)
[ "${2:-}" = programs ] || parts+=(carried13 camera13 kernel13)
for part in "${parts[@]}"; do
  once "$part" "$part"
done

# A wheel, built from a copy: setuptools keeps files in build/ that the source no longer has.
rm -rf edgecnn source && mkdir source
(cd "$project" && cp -r pyproject.toml README.md LICENSE edgecnn export targets calibration \
  "$OLDPWD/source")
"${pip[@]}" install --no-deps --no-compile --target edgecnn ./source
rm -rf source
