from app.offline_model.prompt_cache import _MAX_STORED, CacheUse, PromptCache, Segment


def use(cache, *contents, **fields):
    segments = [Segment(content, 2_000, is_breakpoint=False) for content in contents]
    return cache.use("", segments, **{"has_breakpoints": True, "is_explicit": False, **fields})


def test_a_prefix_is_forgotten_after_half_an_hour():
    now = [0.0]
    cache = PromptCache(lambda: now[0])

    assert use(cache, b"a") == CacheUse(0, 2_000)
    now[0] = 1_799
    assert use(cache, b"a") == CacheUse(2_000, 0)
    now[0] += 1_801
    assert use(cache, b"a") == CacheUse(0, 2_000)


def test_only_so_many_are_kept_whatever_is_sent():
    cache = PromptCache()

    for number in range(_MAX_STORED + 10):
        use(cache, b"%d" % number)
    assert len(cache._expiries) == _MAX_STORED
    assert use(cache, b"0").read == 0


def test_the_latest_80_prefixes_are_looked_at():
    cache = PromptCache()
    use(cache, b"0")

    turns = [b"%d" % number for number in range(90)]
    assert use(cache, *turns[:80]).read == 2_000
    assert use(PromptCache(), *turns).read == 0
    other = PromptCache()
    use(other, b"0")
    assert use(other, *turns).read == 0
