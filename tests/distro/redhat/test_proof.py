"""What may differ from the packages, and for which machines an image is made."""

from knitter.distro.redhat import dracut, proof


def test_differences_are_what_nothing_explains() -> None:
    explained = [
        "S.5....T.  c /etc/passwd",
        ".M.......  g /boot/initramfs-5.14.0-1.img",
        ".......T.    /usr/lib/modules/5.14.0-1/modules.dep",
        "missing     /run/faillock",
        "SM5....T.    /var/log/wtmp",
        "S.5....T   c /etc/hosts",
        "",
    ]
    odd = [
        "..5......    /usr/bin/hello",
        "missing     /usr/share/hello",
        "....L....  d /usr/share/doc",
        "Unsatisfied: x",
    ]
    assert proof.differences([*explained, *odd]) == odd


def test_an_image_starts_on_other_machines() -> None:
    assert 'hostonly=""' in dracut.CONFIG.splitlines()
    for driver in ("nvme", "virtio_blk", "xen-blkfront", "ena"):
        assert f" {driver} " in dracut.CONFIG
