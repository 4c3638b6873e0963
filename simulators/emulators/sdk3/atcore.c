/* An SDK3 library as seen from its caller: the public wide-character AT_* functions on a Zyla-like camera.
 *
 * Features, limits, timing, buffers and errors live here; pixels come from the emulator, a process with a world. Each
 * emulated camera has a folder entry `cameras/<index>` beside this library: a file that both map (head as below, then
 * the pixels of one frame) and a socket on which the emulator answers fixed records of eight 64-bit integers:
 *
 *     request                                              answer
 *     OPEN                                                 status
 *     EXPOSE exposure_ns top left rows columns             status, came, start_ns (monotonic), further delay_ns
 *     ARM    exposure_ns top left rows columns frames      status
 *     POLL   frames                                        status, frames that can be fetched
 *     FETCH                                                as EXPOSE
 *     DISARM                                               status
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

typedef int AT_H;
typedef int AT_BOOL;
typedef long long AT_64;
typedef unsigned char AT_U8;
typedef wchar_t AT_WC;
typedef int (*FeatureCallback)(AT_H, const AT_WC *, void *);

enum {
    OK = 0, NOTINITIALISED = 1, NOTIMPLEMENTED = 2, READONLY = 3, NOTREADABLE = 4, NOTWRITABLE = 5, OUTOFRANGE = 6,
    INDEXNOTAVAILABLE = 7, INDEXNOTIMPLEMENTED = 8, EXCEEDEDMAXSTRINGLENGTH = 9, CONNECTION = 10, NODATA = 11,
    INVALIDHANDLE = 12, TIMEDOUT = 13, BUFFERFULL = 14, INVALIDSIZE = 15, INVALIDALIGNMENT = 16, COMM = 17,
    STRINGNOTAVAILABLE = 18, STRINGNOTIMPLEMENTED = 19, NULL_FEATURE = 20, NULL_VALUE = 28, NULL_STRING = 29,
    NULL_EVCALLBACK = 33, NULL_QUEUE_PTR = 34, NULL_WAIT_PTR = 35, NULL_PTRSIZE = 36, NOMEMORY = 37, DEVICEINUSE = 38,
    DEVICENOTFOUND = 39,
};

/* --- what is shared with the emulator ----------------------------------------------------------------------------- */

#define PIXELS_AT 4096
enum { GARBLED = 3, PORT_LOSS = 5, FIRMWARE = 6 }; /* faults that are this side's */
enum { IGNORE_SETPOINT = 4 };                      /* mutation that is this side's */
enum { OPEN = 1, EXPOSE, ARM, POLL, FETCH, DISARM };

typedef struct {
    char magic[8];
    int32_t alive, fault, mutation, baseline;
    int64_t row_ns, longest_rows, power_on_ns;
    int32_t sensor_rows, sensor_columns, bits, spare;
    double pitch_um, electrons_per_count, temperature_c;
    char model[64], serial[64], firmware[64];
} Head;

/* --- the camera --------------------------------------------------------------------------------------------------- */

#define MOST_CAMERAS 64
#define MOST_QUEUED 8192
#define FIRST_HANDLE 2
#define SYSTEM_HANDLE 1
#define STRIDE_BYTES 16
#define LEAST_SIDE 8
#define LEAST_TRIGGERED_ROWS 3
#define POLL_NS 3000000LL
#define TICK_NS 10LL

enum { INTERNAL, LEVEL, EXTERNAL_START, EXTERNAL_EXPOSURE, SOFTWARE, ADVANCED, EXTERNAL };
enum { MONO12, MONO12PACKED, MONO16 };
enum { HIGH_WELL_12, LOW_NOISE_12, BOTH_16 };

typedef struct Transit { /* a frame between sensor and host */
    struct Transit *next;
    int64_t due_ns, start_ns;
    uint16_t pixels[];
} Transit;

typedef struct {
    AT_U8 *at;
    int size;
} Buffer;

typedef struct {
    Buffer list[MOST_QUEUED];
    int first, count;
} Queue;

typedef struct {
    AT_64 exposure_rows, height, width, top, left, frame_count;
    AT_64 real_rows, real_top, real_left; /* what set-points that are ignored do not change */
    double frame_rate;
    int cycle, trigger, encoding, gain, shutter, rate;
    int metadata, timestamp, frame_info, noise_filter, blemish_correction, cooling, overlap, event_selector;
    int event_enable;
} Settings;

typedef struct {
    int used, fd, dead;
    Head *head;
    size_t mapped;
    pthread_mutex_t lock, io;
    pthread_cond_t changed;
    pthread_t thread;
    int quit;
    Settings s;
    int acquiring, pending;
    unsigned generation; /* of acquisitions: what belongs to an older one is dropped */
    AT_64 exposed, delivered, overflows;
    int64_t busy_until_ns, last_due_ns, next_poll_ns, clock_zero_ns;
    Transit *head_frame, **tail_frame;
    Queue queued, done;
    FeatureCallback callback;
    void *context;
} Camera;

static Camera *cameras[MOST_CAMERAS];
static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static int initialised;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static const char *folder(void) {
    static char path[256];
    Dl_info info;
    if (!path[0] && dladdr((void *)folder, &info)) {
        snprintf(path, sizeof path, "%s", info.dli_fname);
        char *slash = strrchr(path, '/');
        if (slash) *slash = 0; else strcpy(path, ".");
    }
    return path;
}

static int broken(Camera *c) {
    return c->dead || !c->head->alive || c->head->fault == PORT_LOSS;
}

static Camera *camera_of(AT_H handle) {
    int k = handle - FIRST_HANDLE;
    return k >= 0 && k < MOST_CAMERAS ? cameras[k] : NULL;
}

/* One request and its answer; not under c->lock, since a world may take its time. */
static int ask(Camera *c, int64_t answer[8], int64_t what, int64_t a, int64_t b, int64_t d, int64_t e, int64_t f,
               int64_t g) {
    int64_t request[8] = {what, a, b, d, e, f, g, 0};
    int good;
    pthread_mutex_lock(&c->io);
    good = !c->dead && send(c->fd, request, sizeof request, MSG_NOSIGNAL) == (ssize_t)sizeof request &&
           recv(c->fd, answer, 8 * sizeof answer[0], MSG_WAITALL) == (ssize_t)(8 * sizeof answer[0]);
    if (!good) c->dead = 1;
    pthread_mutex_unlock(&c->io);
    return good ? (int)answer[0] : COMM;
}

/* --- numbers that follow from the settings ------------------------------------------------------------------------ */

static int64_t row_ns(const Camera *c) {
    return c->s.rate ? llround(c->head->row_ns * 25.4 / 9.24) : c->head->row_ns;
}
static double row_s(const Camera *c) { return (double)row_ns(c) / 1e9; }
static int64_t exposure_ns(const Camera *c) { return c->s.exposure_rows * row_ns(c); }
static int64_t real_exposure_ns(const Camera *c) { return c->s.real_rows * row_ns(c); }
/* Both halves of the sensor are read at once, outwards from the middle, and two rows more. */
static int64_t readout_ns(const Camera *c) { return ((c->s.height + 1) / 2 + 2) * row_ns(c); }
static AT_64 least_rows(const Camera *c) { return c->s.trigger == INTERNAL ? 1 : LEAST_TRIGGERED_ROWS; }
static int64_t shortest_period_ns(const Camera *c) {
    int64_t e = exposure_ns(c), r = readout_ns(c);
    return c->s.overlap && c->s.trigger == INTERNAL ? (e > r ? e : r) : e + r;
}
static double bytes_per_pixel(const Camera *c) { return c->s.encoding == MONO12PACKED ? 1.5 : 2.0; }
static AT_64 stride(const Camera *c) {
    AT_64 n = (AT_64)ceil(c->s.width * bytes_per_pixel(c));
    return (n + STRIDE_BYTES - 1) / STRIDE_BYTES * STRIDE_BYTES;
}
static AT_64 image_bytes(const Camera *c) {
    AT_64 n = stride(c) * c->s.height;
    if (c->s.metadata) n += 8 + (c->s.frame_info ? 16 : 0) + (c->s.timestamp ? 16 : 0);
    return n;
}
static double highest_rate(const Camera *c) { return 1e9 / (double)shortest_period_ns(c); }
static int bits(const Camera *c) {
    int wanted = c->s.gain == BOTH_16 ? 16 : 12;
    return wanted < c->head->bits ? wanted : c->head->bits;
}

/* --- frames on their way ------------------------------------------------------------------------------------------ */

static void clear(Queue *q) { q->first = q->count = 0; }
static int put(Queue *q, Buffer b) {
    if (q->count == MOST_QUEUED) return 0;
    q->list[(q->first + q->count++) % MOST_QUEUED] = b;
    return 1;
}
static Buffer take(Queue *q) {
    Buffer b = q->list[q->first];
    q->first = (q->first + 1) % MOST_QUEUED;
    q->count--;
    return b;
}

static void drop_transit(Camera *c) {
    while (c->head_frame) {
        Transit *t = c->head_frame;
        c->head_frame = t->next;
        free(t);
    }
    c->tail_frame = &c->head_frame;
}

static unsigned convert(const Camera *c, unsigned count) {
    if (c->s.gain == BOTH_16) return count;
    double gain = c->s.gain == HIGH_WELL_12 ? 7.5 : 0.28;
    double value = rint(((double)count - c->head->baseline) * c->head->electrons_per_count / gain + c->head->baseline);
    return value < 0 ? 0 : value > 4095 ? 4095 : (unsigned)value;
}

static void put_u32(AT_U8 *at, uint32_t value) { memcpy(at, &value, 4); }

static void write_buffer(Camera *c, const Transit *t, AT_U8 *out) {
    AT_64 w = c->s.width, h = c->s.height, n = stride(c);
    for (AT_64 r = 0; r < h; r++) {
        const uint16_t *in = t->pixels + r * w;
        AT_U8 *line = out + r * n;
        if (c->s.encoding == MONO12PACKED) {
            for (AT_64 k = 0; k < w; k += 2) {
                unsigned a = convert(c, in[k]), b = k + 1 < w ? convert(c, in[k + 1]) : 0;
                AT_U8 *at = line + k / 2 * 3;
                at[0] = a >> 4;
                at[1] = (a & 15) | (b & 15) << 4;
                if (k + 1 < w) at[2] = b >> 4;
            }
        } else if (c->s.gain == BOTH_16) {
            memcpy(line, in, 2 * w);
        } else {
            for (AT_64 k = 0; k < w; k++) ((uint16_t *)line)[k] = convert(c, in[k]);
        }
        AT_64 used = (AT_64)ceil(w * bytes_per_pixel(c));
        memset(line + used, 0xEE, n - used); /* so that padding taken for pixels is seen */
    }
    if (!c->s.metadata) return;
    AT_U8 *at = out + h * n;
    put_u32(at, 0), put_u32(at + 4, (uint32_t)(h * n + 4)), at += 8;
    if (c->s.frame_info) {
        uint16_t info[4] = {(uint16_t)n, (uint16_t)c->s.encoding, (uint16_t)w, (uint16_t)h};
        memcpy(at, info, 8), put_u32(at + 8, 7), put_u32(at + 12, 12), at += 16;
    }
    if (c->s.timestamp) {
        int64_t ticks = (t->start_ns - c->clock_zero_ns) / TICK_NS;
        memcpy(at, &ticks, 8), put_u32(at + 8, 1), put_u32(at + 12, 12), at += 16;
    }
    if (c->head->fault == GARBLED) memset(at - 8, 0xA5, 8);
}

/* Under c->lock, which is given up while the overflow is told. */
static void deliver(Camera *c) {
    Transit *t = c->head_frame;
    c->head_frame = t->next;
    if (!c->head_frame) c->tail_frame = &c->head_frame;
    c->delivered++;
    if (c->queued.count) {
        Buffer b = take(&c->queued);
        write_buffer(c, t, b.at);
        put(&c->done, b);
    } else {
        FeatureCallback tell = c->s.event_enable ? c->callback : NULL;
        void *context = c->context;
        c->overflows++;
        if (tell) {
            int k = 0;
            while (k < MOST_CAMERAS && cameras[k] != c) k++;
            pthread_mutex_unlock(&c->lock);
            tell(FIRST_HANDLE + k, L"BufferOverflowEvent", context);
            pthread_mutex_lock(&c->lock);
        }
    }
    free(t);
    if (c->s.cycle == 0 && c->delivered >= c->s.frame_count) c->acquiring = 0;
    pthread_cond_broadcast(&c->changed);
}

/* Ask for one exposure (EXPOSE) or one that the trigger line started (FETCH). Under c->lock, which is given up. */
static void expose(Camera *c, int how) {
    unsigned generation = c->generation;
    AT_64 w = c->s.width, h = c->s.height;
    int64_t answer[8], e = real_exposure_ns(c);
    AT_64 top = c->s.real_top - 1, left = c->s.real_left - 1;
    AT_64 most_left = c->head->sensor_columns - w, most_top = c->head->sensor_rows - h;
    Transit *t = malloc(sizeof *t + 2 * (size_t)(w * h));
    int status;
    left = left > most_left ? most_left : left, top = top > most_top ? most_top : top;
    c->exposed++;
    pthread_mutex_unlock(&c->lock);
    status = ask(c, answer, how, e, top, left, h, w, 0);
    if (status == OK && answer[1]) memcpy(t->pixels, (char *)c->head + PIXELS_AT, 2 * (size_t)(w * h));
    pthread_mutex_lock(&c->lock);
    if (status != OK || generation != c->generation || !c->acquiring) {
        free(t);
        return;
    }
    int64_t end = answer[2] + e + readout_ns(c);
    int ignored = how == FETCH && answer[2] < c->busy_until_ns; /* a pulse during exposure or read-out */
    if (ignored) c->exposed--;
    if (ignored || !answer[1]) {
        c->busy_until_ns = !ignored && end > c->busy_until_ns ? end : c->busy_until_ns;
        if (!ignored && c->s.trigger == INTERNAL) c->delivered++; /* lost on the way; the camera counts it */
        free(t);
        return;
    }
    if (c->s.trigger == INTERNAL && c->s.overlap) end = answer[2] + shortest_period_ns(c);
    c->busy_until_ns = end;
    t->next = NULL;
    t->start_ns = answer[2];
    t->due_ns = answer[2] + e + readout_ns(c) + answer[3];
    if (t->due_ns < c->last_due_ns) t->due_ns = c->last_due_ns; /* frames come in their order */
    c->last_due_ns = t->due_ns;
    *c->tail_frame = t;
    c->tail_frame = &t->next;
}

static void poll_line(Camera *c) {
    int64_t answer[8];
    unsigned generation = c->generation;
    AT_64 wanted = c->s.frame_count - c->exposed;
    int status;
    pthread_mutex_unlock(&c->lock);
    status = ask(c, answer, POLL, wanted, 0, 0, 0, 0, 0);
    pthread_mutex_lock(&c->lock);
    c->next_poll_ns = now_ns() + POLL_NS;
    if (status != OK) return;
    for (int64_t k = 0; k < answer[1] && generation == c->generation && c->acquiring && !broken(c); k++)
        expose(c, FETCH);
}

static void *run(void *given) {
    Camera *c = given;
    pthread_mutex_lock(&c->lock);
    while (!c->quit) {
        int64_t now = now_ns(), wake = now + 1000000000LL;
        if (broken(c)) {
            c->acquiring = 0;
            drop_transit(c);
            pthread_cond_broadcast(&c->changed);
            wake = now + 50000000LL;
        } else if (c->acquiring) {
            int more = c->s.cycle == 1 || c->exposed < c->s.frame_count;
            if (c->head_frame && c->head_frame->due_ns <= now) {
                deliver(c);
                continue;
            }
            if (c->head_frame) wake = c->head_frame->due_ns;
            if (c->s.trigger == SOFTWARE && c->pending) {
                c->pending = 0;
                expose(c, EXPOSE);
                continue;
            }
            if (c->s.trigger == INTERNAL && more) {
                double rate = c->s.frame_rate < highest_rate(c) ? c->s.frame_rate : highest_rate(c);
                int64_t next = c->busy_until_ns, period = (int64_t)(1e9 / rate);
                if (now >= next) {
                    expose(c, EXPOSE);
                    int64_t later = (next ? next : now) + period;
                    c->busy_until_ns = later > now_ns() ? later : now_ns();
                    continue;
                }
                wake = next < wake ? next : wake;
            }
            if (c->s.trigger == EXTERNAL && more) {
                if (now >= c->next_poll_ns) {
                    poll_line(c);
                    continue;
                }
                wake = c->next_poll_ns < wake ? c->next_poll_ns : wake;
            }
            if (wake > now + 100000000LL) wake = now + 100000000LL; /* faults are looked for now and then */
        }
        struct timespec until = {wake / 1000000000LL, wake % 1000000000LL};
        pthread_cond_timedwait(&c->changed, &c->lock, &until);
    }
    drop_transit(c);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* --- library and cameras ------------------------------------------------------------------------------------------ */

int AT_InitialiseLibrary(void) {
    initialised = 1;
    return OK;
}

int AT_FinaliseLibrary(void) {
    initialised = 0;
    return OK;
}

static Head *map_head(int index, size_t *size) {
    char path[320];
    struct stat st;
    Head *head = NULL;
    snprintf(path, sizeof path, "%s/cameras/%d.frame", folder(), index);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return NULL;
    if (!fstat(fd, &st) && st.st_size > PIXELS_AT) {
        head = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        *size = st.st_size;
        if (head == MAP_FAILED) head = NULL;
        else if (memcmp(head->magic, "SDK3EMU1", 8) || !head->alive || head->fault == PORT_LOSS)
            munmap(head, *size), head = NULL;
    }
    close(fd);
    return head;
}

static AT_64 device_count(void) {
    AT_64 count = 0;
    for (int k = 0; k < MOST_CAMERAS; k++) {
        size_t size;
        Head *head = map_head(k, &size);
        if (head) munmap(head, size), count = k + 1;
    }
    return count;
}

static int connect_to(int index) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 20};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/cameras/%d.sock", folder(), index);
    if (length >= (int)sizeof address.sun_path) return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void free_camera(Camera *c) {
    close(c->fd);
    munmap(c->head, c->mapped);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->io);
    pthread_cond_destroy(&c->changed);
    free(c);
}

int AT_Open(int index, AT_H *handle) {
    int64_t answer[8];
    int k = 0, status;
    Head *head;
    size_t size = 0;
    if (!initialised) return NOTINITIALISED;
    if (!handle) return 21;
    *handle = -1;
    if (index < 0 || index >= MOST_CAMERAS || !(head = map_head(index, &size))) return DEVICENOTFOUND;
    Camera *c = calloc(1, sizeof *c);
    c->head = head, c->mapped = size;
    c->fd = connect_to(index);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->io, NULL);
    if (c->fd < 0) {
        free_camera(c);
        return DEVICENOTFOUND;
    }
    status = ask(c, answer, OPEN, 0, 0, 0, 0, 0, 0);
    if (status != OK) {
        free_camera(c);
        return status;
    }
    c->tail_frame = &c->head_frame;
    c->clock_zero_ns = head->power_on_ns;
    c->s = (Settings){.height = head->sensor_rows, .width = head->sensor_columns, .top = 1, .left = 1,
                      .real_top = 1, .real_left = 1, .frame_count = 1, .encoding = MONO12, .gain = HIGH_WELL_12,
                      .noise_filter = 1, .blemish_correction = 1, .timestamp = 1, .frame_info = 1, .overlap = 0};
    c->s.exposure_rows = c->s.real_rows = llround(0.01e9 / head->row_ns); /* 10 ms at power-on */
    c->s.frame_rate = highest_rate(c);
    pthread_mutex_lock(&table);
    while (k < MOST_CAMERAS && cameras[k]) k++;
    if (k < MOST_CAMERAS) cameras[k] = c;
    pthread_mutex_unlock(&table);
    if (k == MOST_CAMERAS || pthread_create(&c->thread, NULL, run, c)) {
        if (k < MOST_CAMERAS) cameras[k] = NULL;
        free_camera(c);
        return NOMEMORY;
    }
    *handle = FIRST_HANDLE + k;
    return OK;
}

int AT_Close(AT_H handle) {
    Camera *c = camera_of(handle);
    if (!c) return INVALIDHANDLE;
    pthread_mutex_lock(&c->lock);
    c->quit = 1;
    c->acquiring = 0;
    c->generation++;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    shutdown(c->fd, SHUT_RDWR);
    pthread_join(c->thread, NULL);
    pthread_mutex_lock(&table);
    cameras[handle - FIRST_HANDLE] = NULL;
    pthread_mutex_unlock(&table);
    free_camera(c);
    return OK;
}

/* --- features ----------------------------------------------------------------------------------------------------- */

enum Kind { INT, FLOAT, BOOL, ENUM, STRING, COMMAND };
enum Id {
    F_HEIGHT, F_WIDTH, F_TOP, F_LEFT, F_HBIN, F_VBIN, F_STRIDE, F_BASELINE, F_OVERFLOW, F_FRAMECOUNT, F_ACCUMULATE,
    F_BYTES, F_SENSORH, F_SENSORW, F_CLOCK, F_FREQUENCY, F_EXPOSURE, F_FRAMERATE, F_READOUT, F_ROWTIME, F_BPP,
    F_PIXELH, F_PIXELW, F_TEMPERATURE, F_TARGET, F_ACQUIRING, F_PRESENT, F_EVENTENABLE, F_FULLAOI, F_CENTRE,
    F_METADATA, F_TIMESTAMP, F_FRAMEINFO, F_COOLING, F_NOISE, F_BLEMISH, F_OVERLAP, F_BINNING, F_BITDEPTH, F_CYCLE,
    F_SHUTTER, F_SELECTOR, F_ENCODING, F_RATE, F_GAIN, F_TRIGGER, F_TEMPSTATUS, F_MODEL, F_NAME, F_SERIAL, F_FIRMWARE,
    F_FAMILY, F_START, F_STOP, F_SOFTWARE, F_CLOCKRESET,
};
#define WHILE_ACQUIRING 2 /* writable also then */

static const struct Feature {
    const AT_WC *name;
    enum Id id;
    enum Kind kind;
    int writable;
} features[] = {
    {L"AOIHeight", F_HEIGHT, INT, 1}, {L"AOIWidth", F_WIDTH, INT, 1}, {L"AOITop", F_TOP, INT, 1},
    {L"AOILeft", F_LEFT, INT, 1}, {L"AOIHBin", F_HBIN, INT, 1}, {L"AOIVBin", F_VBIN, INT, 1},
    {L"AOIStride", F_STRIDE, INT, 0}, {L"Baseline", F_BASELINE, INT, 0}, {L"BufferOverflowEvent", F_OVERFLOW, INT, 0},
    {L"FrameCount", F_FRAMECOUNT, INT, 1}, {L"AccumulateCount", F_ACCUMULATE, INT, 1},
    {L"ImageSizeBytes", F_BYTES, INT, 0}, {L"SensorHeight", F_SENSORH, INT, 0}, {L"SensorWidth", F_SENSORW, INT, 0},
    {L"TimestampClock", F_CLOCK, INT, 0}, {L"TimestampClockFrequency", F_FREQUENCY, INT, 0},
    {L"ExposureTime", F_EXPOSURE, FLOAT, 1}, {L"FrameRate", F_FRAMERATE, FLOAT, WHILE_ACQUIRING},
    {L"ReadoutTime", F_READOUT, FLOAT, 0}, {L"RowReadTime", F_ROWTIME, FLOAT, 0}, {L"BytesPerPixel", F_BPP, FLOAT, 0},
    {L"PixelHeight", F_PIXELH, FLOAT, 0}, {L"PixelWidth", F_PIXELW, FLOAT, 0},
    {L"SensorTemperature", F_TEMPERATURE, FLOAT, 0}, {L"TargetSensorTemperature", F_TARGET, FLOAT, 0},
    {L"CameraAcquiring", F_ACQUIRING, BOOL, 0}, {L"CameraPresent", F_PRESENT, BOOL, 0},
    {L"EventEnable", F_EVENTENABLE, BOOL, WHILE_ACQUIRING}, {L"FullAOIControl", F_FULLAOI, BOOL, 0},
    {L"VerticallyCentreAOI", F_CENTRE, BOOL, 1}, {L"MetadataEnable", F_METADATA, BOOL, 1},
    {L"MetadataTimestamp", F_TIMESTAMP, BOOL, 1}, {L"MetadataFrameInfo", F_FRAMEINFO, BOOL, 1},
    {L"SensorCooling", F_COOLING, BOOL, 1}, {L"SpuriousNoiseFilter", F_NOISE, BOOL, 1},
    {L"StaticBlemishCorrection", F_BLEMISH, BOOL, 1}, {L"Overlap", F_OVERLAP, BOOL, 1},
    {L"AOIBinning", F_BINNING, ENUM, 1}, {L"BitDepth", F_BITDEPTH, ENUM, 0}, {L"CycleMode", F_CYCLE, ENUM, 1},
    {L"ElectronicShutteringMode", F_SHUTTER, ENUM, 1}, {L"EventSelector", F_SELECTOR, ENUM, WHILE_ACQUIRING},
    {L"PixelEncoding", F_ENCODING, ENUM, 1}, {L"PixelReadoutRate", F_RATE, ENUM, 1},
    {L"SimplePreAmpGainControl", F_GAIN, ENUM, 1}, {L"TriggerMode", F_TRIGGER, ENUM, 1},
    {L"TemperatureStatus", F_TEMPSTATUS, ENUM, 0}, {L"CameraModel", F_MODEL, STRING, 0},
    {L"CameraName", F_NAME, STRING, 0}, {L"SerialNumber", F_SERIAL, STRING, 0},
    {L"FirmwareVersion", F_FIRMWARE, STRING, 0}, {L"CameraFamily", F_FAMILY, STRING, 0},
    {L"AcquisitionStart", F_START, COMMAND, 1}, {L"AcquisitionStop", F_STOP, COMMAND, 1},
    {L"SoftwareTrigger", F_SOFTWARE, COMMAND, 1}, {L"TimestampClockReset", F_CLOCKRESET, COMMAND, 1},
};

typedef struct Feature Feature;

static const Feature *feature_of(Camera *c, const AT_WC *name) {
    for (size_t k = 0; name && k < sizeof features / sizeof features[0]; k++)
        if (!wcscmp(features[k].name, name)) {
            /* an old firmware does not tell its row time */
            return features[k].id == F_ROWTIME && c->head->fault == FIRMWARE ? NULL : &features[k];
        }
    return NULL;
}

static int writable(const Camera *c, const Feature *f) {
    return f->writable && (!c->acquiring || f->writable == WHILE_ACQUIRING);
}

/* The camera and the feature of a call, and c->lock taken; or an error and nothing taken. */
static int find(AT_H handle, const AT_WC *name, enum Kind kind, Camera **c, const Feature **f) {
    if (!initialised) return NOTINITIALISED;
    if (!name) return NULL_FEATURE;
    if (!(*c = camera_of(handle))) return INVALIDHANDLE;
    if (broken(*c)) return COMM;
    *f = feature_of(*c, name);
    if (!*f || (*f)->kind != kind) return NOTIMPLEMENTED;
    pthread_mutex_lock(&(*c)->lock);
    return OK;
}

static int give(Camera *c, int status) {
    pthread_mutex_unlock(&c->lock);
    return status;
}

static int about(AT_H handle, const AT_WC *name, AT_BOOL *out, int what) {
    Camera *c = camera_of(handle);
    if (!out) return NULL_VALUE;
    if (!name) return NULL_FEATURE;
    if (!c) return INVALIDHANDLE;
    if (broken(c)) return COMM;
    const Feature *f = feature_of(c, name);
    if (!f && what != 0) return NOTIMPLEMENTED;
    switch (what) {
    case 0: *out = f != NULL; break;
    case 1: *out = f->kind != COMMAND; break;
    case 2: *out = f->kind != COMMAND && writable(c, f); break;
    default: *out = !f->writable;
    }
    return OK;
}

int AT_IsImplemented(AT_H h, const AT_WC *name, AT_BOOL *out) { return about(h, name, out, 0); }
int AT_IsReadable(AT_H h, const AT_WC *name, AT_BOOL *out) { return about(h, name, out, 1); }
int AT_IsWritable(AT_H h, const AT_WC *name, AT_BOOL *out) { return about(h, name, out, 2); }
int AT_IsReadOnly(AT_H h, const AT_WC *name, AT_BOOL *out) { return about(h, name, out, 3); }

static void int_range(Camera *c, enum Id id, AT_64 *low, AT_64 *high) {
    AT_64 rows = c->head->sensor_rows, columns = c->head->sensor_columns;
    AT_64 least_h = rows < LEAST_SIDE ? rows : LEAST_SIDE, least_w = columns < LEAST_SIDE ? columns : LEAST_SIDE;
    *low = 1, *high = 1;
    switch (id) {
    case F_HEIGHT: *low = least_h, *high = rows - c->s.top + 1; break;
    case F_WIDTH: *low = least_w, *high = columns - c->s.left + 1; break;
    case F_TOP: *high = rows - c->s.height + 1; break;
    case F_LEFT: *high = columns - c->s.width + 1; break;
    case F_FRAMECOUNT: *high = 2147483647; break;
    default: break;
    }
}

static AT_64 int_value(Camera *c, enum Id id) {
    switch (id) {
    case F_HEIGHT: return c->s.height;
    case F_WIDTH: return c->s.width;
    case F_TOP: return c->s.top;
    case F_LEFT: return c->s.left;
    case F_STRIDE: return stride(c);
    case F_BASELINE: return c->head->baseline;
    case F_OVERFLOW: return c->overflows;
    case F_FRAMECOUNT: return c->s.frame_count;
    case F_BYTES: return image_bytes(c);
    case F_SENSORH: return c->head->sensor_rows;
    case F_SENSORW: return c->head->sensor_columns;
    case F_CLOCK: return (now_ns() - c->clock_zero_ns) / TICK_NS;
    case F_FREQUENCY: return 1000000000LL / TICK_NS;
    default: return 1;
    }
}

int AT_GetInt(AT_H handle, const AT_WC *name, AT_64 *value) {
    Camera *c;
    const Feature *f;
    if (!value) return NULL_VALUE;
    if (handle == SYSTEM_HANDLE && name && !wcscmp(name, L"DeviceCount")) {
        if (!initialised) return NOTINITIALISED;
        *value = device_count();
        return OK;
    }
    int status = find(handle, name, INT, &c, &f);
    if (status) return status;
    *value = int_value(c, f->id);
    return give(c, OK);
}

static int int_limit(AT_H handle, const AT_WC *name, AT_64 *value, int high) {
    Camera *c;
    const Feature *f;
    AT_64 ends[2];
    if (!value) return NULL_VALUE;
    int status = find(handle, name, INT, &c, &f);
    if (status) return status;
    if (!f->writable) return give(c, NOTIMPLEMENTED);
    int_range(c, f->id, &ends[0], &ends[1]);
    *value = ends[high];
    return give(c, OK);
}

int AT_GetIntMin(AT_H h, const AT_WC *name, AT_64 *value) { return int_limit(h, name, value, 0); }
int AT_GetIntMax(AT_H h, const AT_WC *name, AT_64 *value) { return int_limit(h, name, value, 1); }

int AT_SetInt(AT_H handle, const AT_WC *name, AT_64 value) {
    Camera *c;
    const Feature *f;
    AT_64 low, high;
    int status = find(handle, name, INT, &c, &f);
    if (status) return status;
    if (!f->writable) return give(c, READONLY);
    if (!writable(c, f)) return give(c, NOTWRITABLE);
    int_range(c, f->id, &low, &high);
    if (value < low || value > high) return give(c, OUTOFRANGE);
    int heeds = c->head->mutation != IGNORE_SETPOINT;
    switch (f->id) {
    case F_HEIGHT: c->s.height = value; break;
    case F_WIDTH: c->s.width = value; break;
    case F_TOP: c->s.top = value, c->s.real_top = heeds ? value : c->s.real_top; break;
    case F_LEFT: c->s.left = value, c->s.real_left = heeds ? value : c->s.real_left; break;
    case F_FRAMECOUNT: c->s.frame_count = value; break;
    default: break;
    }
    return give(c, OK);
}

static double float_value(Camera *c, enum Id id) {
    switch (id) {
    case F_EXPOSURE: return (double)exposure_ns(c) / 1e9;
    case F_FRAMERATE: return c->s.frame_rate < highest_rate(c) ? c->s.frame_rate : highest_rate(c);
    case F_READOUT: return (double)readout_ns(c) / 1e9;
    case F_ROWTIME: return row_s(c);
    case F_BPP: return bytes_per_pixel(c);
    case F_PIXELH: case F_PIXELW: return c->head->pitch_um;
    case F_TEMPERATURE: return c->head->temperature_c;
    default: return 0;
    }
}

static void float_range(Camera *c, enum Id id, double *low, double *high) {
    if (id == F_EXPOSURE) {
        *low = (double)(least_rows(c) * row_ns(c)) / 1e9;
        *high = (double)(c->head->longest_rows * c->head->row_ns / row_ns(c) * row_ns(c)) / 1e9;
    } else {
        *high = highest_rate(c);
        *low = *high < 0.01 ? *high : 0.01;
    }
}

int AT_GetFloat(AT_H handle, const AT_WC *name, double *value) {
    Camera *c;
    const Feature *f;
    if (!value) return NULL_VALUE;
    int status = find(handle, name, FLOAT, &c, &f);
    if (status) return status;
    *value = float_value(c, f->id);
    return give(c, OK);
}

static int float_limit(AT_H handle, const AT_WC *name, double *value, int high) {
    Camera *c;
    const Feature *f;
    double ends[2];
    if (!value) return NULL_VALUE;
    int status = find(handle, name, FLOAT, &c, &f);
    if (status) return status;
    if (!f->writable) return give(c, NOTIMPLEMENTED);
    float_range(c, f->id, &ends[0], &ends[1]);
    *value = ends[high];
    return give(c, OK);
}

int AT_GetFloatMin(AT_H h, const AT_WC *name, double *value) { return float_limit(h, name, value, 0); }
int AT_GetFloatMax(AT_H h, const AT_WC *name, double *value) { return float_limit(h, name, value, 1); }

int AT_SetFloat(AT_H handle, const AT_WC *name, double value) {
    Camera *c;
    const Feature *f;
    double low, high;
    int status = find(handle, name, FLOAT, &c, &f);
    if (status) return status;
    if (!f->writable) return give(c, READONLY);
    if (!writable(c, f)) return give(c, NOTWRITABLE);
    float_range(c, f->id, &low, &high);
    if (!(value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9))) return give(c, OUTOFRANGE);
    if (f->id == F_EXPOSURE) {
        c->s.exposure_rows = (AT_64)llround(value / row_s(c));
        if (c->head->mutation != IGNORE_SETPOINT) c->s.real_rows = c->s.exposure_rows;
    } else {
        c->s.frame_rate = value;
    }
    return give(c, OK);
}

static int *bool_at(Camera *c, enum Id id) {
    switch (id) {
    case F_EVENTENABLE: return &c->s.event_enable;
    case F_METADATA: return &c->s.metadata;
    case F_TIMESTAMP: return &c->s.timestamp;
    case F_FRAMEINFO: return &c->s.frame_info;
    case F_COOLING: return &c->s.cooling;
    case F_NOISE: return &c->s.noise_filter;
    case F_BLEMISH: return &c->s.blemish_correction;
    case F_OVERLAP: return &c->s.overlap;
    case F_ACQUIRING: return &c->acquiring;
    default: return NULL;
    }
}

int AT_GetBool(AT_H handle, const AT_WC *name, AT_BOOL *value) {
    Camera *c;
    const Feature *f;
    if (!value) return NULL_VALUE;
    int status = find(handle, name, BOOL, &c, &f);
    if (status) return status;
    int *at = bool_at(c, f->id);
    *value = at ? *at : f->id == F_PRESENT || f->id == F_FULLAOI;
    return give(c, OK);
}

int AT_SetBool(AT_H handle, const AT_WC *name, AT_BOOL value) {
    Camera *c;
    const Feature *f;
    int status = find(handle, name, BOOL, &c, &f);
    if (status) return status;
    if (!f->writable) return give(c, READONLY);
    if (!writable(c, f)) return give(c, NOTWRITABLE);
    int *at = bool_at(c, f->id);
    if (at) *at = value != 0;
    return give(c, OK);
}

static const AT_WC *const binnings[] = {L"1x1", NULL};
static const AT_WC *const depths[] = {L"12 Bit", L"16 Bit", NULL};
static const AT_WC *const cycles[] = {L"Fixed", L"Continuous", NULL};
static const AT_WC *const shutters[] = {L"Rolling", L"Global", NULL};
static const AT_WC *const events[] = {L"BufferOverflowEvent", L"ExposureEndEvent", NULL};
static const AT_WC *const encodings[] = {L"Mono12", L"Mono12Packed", L"Mono16", L"Mono32", NULL};
static const AT_WC *const rates[] = {L"280 MHz", L"100 MHz", NULL}; /* of each half of the sensor */
static const AT_WC *const gains[] = {L"12-bit (high well capacity)", L"12-bit (low noise)",
                                     L"16-bit (low noise & high well capacity)", NULL};
static const AT_WC *const triggers[] = {L"Internal", L"External Level Transition", L"External Start",
                                        L"External Exposure", L"Software", L"Advanced", L"External", NULL};
static const AT_WC *const states[] = {L"Stabilised", NULL};

static const AT_WC *const *choices(enum Id id) {
    switch (id) {
    case F_BINNING: return binnings;
    case F_BITDEPTH: return depths;
    case F_CYCLE: return cycles;
    case F_SHUTTER: return shutters;
    case F_SELECTOR: return events;
    case F_ENCODING: return encodings;
    case F_RATE: return rates;
    case F_GAIN: return gains;
    case F_TRIGGER: return triggers;
    default: return states;
    }
}

static int count_of(enum Id id) {
    int n = 0;
    while (choices(id)[n]) n++;
    return n;
}

static int available(const Camera *c, enum Id id, int index) {
    if (id == F_ENCODING) return index == MONO16 || (index < MONO16 && c->s.gain != BOTH_16);
    if (id == F_TRIGGER) return index == INTERNAL || index == SOFTWARE || index == EXTERNAL;
    return 1;
}

static int enum_value(const Camera *c, enum Id id) {
    switch (id) {
    case F_BITDEPTH: return bits(c) == 16;
    case F_CYCLE: return c->s.cycle;
    case F_SHUTTER: return c->s.shutter;
    case F_SELECTOR: return c->s.event_selector;
    case F_ENCODING: return c->s.encoding;
    case F_RATE: return c->s.rate;
    case F_GAIN: return c->s.gain;
    case F_TRIGGER: return c->s.trigger;
    default: return 0;
    }
}

static int set_enum(Camera *c, const Feature *f, int index) {
    if (!f->writable) return READONLY;
    if (!writable(c, f)) return NOTWRITABLE;
    if (index < 0 || index >= count_of(f->id)) return INDEXNOTIMPLEMENTED;
    if (!available(c, f->id, index)) return INDEXNOTAVAILABLE;
    switch (f->id) {
    case F_CYCLE: c->s.cycle = index; break;
    case F_SHUTTER: c->s.shutter = index; break;
    case F_SELECTOR: c->s.event_selector = index; break;
    case F_ENCODING: c->s.encoding = index; break;
    case F_RATE: c->s.rate = index; break;
    case F_GAIN:
        c->s.gain = index;
        c->s.encoding = index == BOTH_16 ? MONO16 : MONO12;
        break;
    case F_TRIGGER:
        c->s.trigger = index;
        if (c->s.exposure_rows < least_rows(c)) c->s.exposure_rows = c->s.real_rows = least_rows(c);
        break;
    default: break;
    }
    return OK;
}

int AT_SetEnumIndex(AT_H handle, const AT_WC *name, int value) {
    Camera *c;
    const Feature *f;
    int status = find(handle, name, ENUM, &c, &f);
    return status ? status : give(c, set_enum(c, f, value));
}

int AT_SetEnumString(AT_H handle, const AT_WC *name, const AT_WC *text) {
    Camera *c;
    const Feature *f;
    if (!text) return NULL_STRING;
    int status = find(handle, name, ENUM, &c, &f);
    if (status) return status;
    for (int k = 0; choices(f->id)[k]; k++)
        if (!wcscmp(choices(f->id)[k], text)) return give(c, set_enum(c, f, k));
    return give(c, STRINGNOTIMPLEMENTED);
}

int AT_GetEnumIndex(AT_H handle, const AT_WC *name, int *value) {
    Camera *c;
    const Feature *f;
    if (!value) return NULL_VALUE;
    int status = find(handle, name, ENUM, &c, &f);
    if (status) return status;
    *value = enum_value(c, f->id);
    return give(c, OK);
}

int AT_GetEnumCount(AT_H handle, const AT_WC *name, int *count) {
    Camera *c;
    const Feature *f;
    if (!count) return NULL_VALUE;
    int status = find(handle, name, ENUM, &c, &f);
    if (status) return status;
    *count = count_of(f->id);
    return give(c, OK);
}

static int about_index(AT_H handle, const AT_WC *name, int index, AT_BOOL *out, int implemented) {
    Camera *c;
    const Feature *f;
    if (!out) return NULL_VALUE;
    int status = find(handle, name, ENUM, &c, &f);
    if (status) return status;
    int inside = index >= 0 && index < count_of(f->id);
    if (!inside && !implemented) return give(c, OUTOFRANGE);
    *out = inside && (implemented || available(c, f->id, index));
    return give(c, OK);
}

int AT_IsEnumIndexAvailable(AT_H h, const AT_WC *name, int k, AT_BOOL *out) { return about_index(h, name, k, out, 0); }
int AT_IsEnumIndexImplemented(AT_H h, const AT_WC *name, int k, AT_BOOL *out) {
    return about_index(h, name, k, out, 1);
}

int AT_GetEnumStringByIndex(AT_H handle, const AT_WC *name, int index, AT_WC *text, int length) {
    Camera *c;
    const Feature *f;
    if (!text) return NULL_STRING;
    int status = find(handle, name, ENUM, &c, &f);
    if (status) return status;
    if (index < 0 || index >= count_of(f->id)) return give(c, INDEXNOTIMPLEMENTED);
    const AT_WC *found = choices(f->id)[index];
    if ((int)wcslen(found) >= length) return give(c, EXCEEDEDMAXSTRINGLENGTH);
    wcscpy(text, found);
    return give(c, OK);
}

static void copy_text(AT_WC *out, const char *in, int length) {
    int k = 0;
    for (; k < length - 1 && in[k]; k++) out[k] = (unsigned char)in[k];
    out[k] = 0;
}

int AT_GetStringMaxLength(AT_H handle, const AT_WC *name, int *length) {
    (void)name;
    if (!length) return 32;
    if (handle != SYSTEM_HANDLE && !camera_of(handle)) return INVALIDHANDLE;
    if (handle != SYSTEM_HANDLE && broken(camera_of(handle))) return COMM;
    *length = 64;
    return OK;
}

int AT_GetString(AT_H handle, const AT_WC *name, AT_WC *text, int length) {
    Camera *c;
    const Feature *f;
    if (!text) return NULL_STRING;
    if (length < 1) return EXCEEDEDMAXSTRINGLENGTH;
    if (handle == SYSTEM_HANDLE && name && !wcscmp(name, L"SoftwareVersion")) {
        copy_text(text, "3.15.30084.0", length);
        return OK;
    }
    int status = find(handle, name, STRING, &c, &f);
    if (status) return status;
    switch (f->id) {
    case F_MODEL: copy_text(text, c->head->model, length); break;
    case F_SERIAL: copy_text(text, c->head->serial, length); break;
    case F_FIRMWARE:
        copy_text(text, c->head->fault == FIRMWARE ? "9.9.9.9" : c->head->firmware, length);
        break;
    case F_FAMILY: copy_text(text, "Andor sCMOS", length); break;
    default: copy_text(text, "Zyla", length);
    }
    return give(c, OK);
}

int AT_SetString(AT_H handle, const AT_WC *name, const AT_WC *text) {
    Camera *c;
    const Feature *f;
    (void)text;
    int status = find(handle, name, STRING, &c, &f);
    return status ? status : give(c, READONLY);
}

/* --- commands, events, buffers ------------------------------------------------------------------------------------ */

static int start(Camera *c) {
    int64_t answer[8];
    if (c->acquiring) return NOTWRITABLE;
    c->generation++;
    drop_transit(c);
    clear(&c->done);
    c->exposed = c->delivered = c->overflows = 0;
    c->pending = 0;
    c->busy_until_ns = c->last_due_ns = 0;
    c->next_poll_ns = now_ns() + POLL_NS;
    if (c->s.trigger == EXTERNAL) {
        AT_64 n = c->s.cycle ? 2147483647 : c->s.frame_count, w = c->s.width, h = c->s.height;
        AT_64 most_left = c->head->sensor_columns - w, most_top = c->head->sensor_rows - h;
        AT_64 top = c->s.real_top - 1, left = c->s.real_left - 1;
        int64_t e = real_exposure_ns(c);
        left = left > most_left ? most_left : left, top = top > most_top ? most_top : top;
        pthread_mutex_unlock(&c->lock);
        int status = ask(c, answer, ARM, e, top, left, h, w, n);
        pthread_mutex_lock(&c->lock);
        if (status) return status;
    }
    c->acquiring = 1;
    pthread_cond_broadcast(&c->changed);
    return OK;
}

static int stop(Camera *c) {
    int64_t answer[8];
    int was = c->acquiring;
    c->acquiring = 0;
    c->generation++;
    c->pending = 0;
    drop_transit(c);
    pthread_cond_broadcast(&c->changed);
    if (was && c->s.trigger == EXTERNAL) {
        pthread_mutex_unlock(&c->lock);
        ask(c, answer, DISARM, 0, 0, 0, 0, 0, 0);
        pthread_mutex_lock(&c->lock);
    }
    return OK;
}

int AT_Command(AT_H handle, const AT_WC *name) {
    Camera *c;
    const Feature *f;
    int status = find(handle, name, COMMAND, &c, &f);
    if (status) return status;
    switch (f->id) {
    case F_START: status = start(c); break;
    case F_STOP: status = stop(c); break;
    case F_SOFTWARE:
        if (!c->acquiring || c->s.trigger != SOFTWARE) {
            status = NOTWRITABLE;
        } else if (!c->pending && now_ns() >= c->busy_until_ns) { /* else it comes too early and does nothing */
            c->pending = 1;
            pthread_cond_broadcast(&c->changed);
        }
        break;
    default: c->clock_zero_ns = now_ns();
    }
    return give(c, status);
}

int AT_RegisterFeatureCallback(AT_H handle, const AT_WC *name, FeatureCallback callback, void *context) {
    Camera *c = camera_of(handle);
    if (!c) return INVALIDHANDLE;
    if (broken(c)) return COMM;
    if (!name || !feature_of(c, name)) return NOTIMPLEMENTED;
    if (!callback) return NULL_EVCALLBACK;
    callback(handle, name, context); /* the real one calls once at once */
    pthread_mutex_lock(&c->lock);
    if (!wcscmp(name, L"BufferOverflowEvent")) c->callback = callback, c->context = context;
    return give(c, OK);
}

int AT_UnregisterFeatureCallback(AT_H handle, const AT_WC *name, FeatureCallback callback, void *context) {
    Camera *c = camera_of(handle);
    (void)name, (void)callback, (void)context;
    if (!c) return INVALIDHANDLE;
    pthread_mutex_lock(&c->lock);
    c->callback = NULL;
    return give(c, OK);
}

int AT_QueueBuffer(AT_H handle, AT_U8 *at, int size) {
    Camera *c = camera_of(handle);
    if (!at) return NULL_QUEUE_PTR;
    if (!c) return INVALIDHANDLE;
    if (broken(c)) return COMM;
    if ((uintptr_t)at % 8) return INVALIDALIGNMENT;
    pthread_mutex_lock(&c->lock);
    if (size < image_bytes(c)) return give(c, INVALIDSIZE);
    return give(c, put(&c->queued, (Buffer){at, size}) ? OK : BUFFERFULL);
}

int AT_WaitBuffer(AT_H handle, AT_U8 **at, int *size, unsigned timeout_ms) {
    Camera *c = camera_of(handle);
    int64_t end = now_ns() + (timeout_ms == 0xFFFFFFFFu ? (int64_t)1e18 : timeout_ms * 1000000LL);
    if (!at) return NULL_WAIT_PTR;
    if (!size) return NULL_PTRSIZE;
    if (!c) return INVALIDHANDLE;
    pthread_mutex_lock(&c->lock);
    while (!c->done.count) {
        int64_t now = now_ns(), wake = end < now + 50000000LL ? end : now + 50000000LL;
        if (c->quit || broken(c)) return give(c, COMM);
        if (now >= end) return give(c, TIMEDOUT);
        struct timespec until = {wake / 1000000000LL, wake % 1000000000LL};
        pthread_cond_timedwait(&c->changed, &c->lock, &until);
    }
    Buffer b = take(&c->done);
    *at = b.at;
    *size = (int)image_bytes(c);
    return give(c, OK);
}

int AT_Flush(AT_H handle) {
    Camera *c = camera_of(handle);
    if (!c) return INVALIDHANDLE;
    pthread_mutex_lock(&c->lock);
    clear(&c->queued);
    clear(&c->done);
    return give(c, broken(c) ? COMM : OK);
}
